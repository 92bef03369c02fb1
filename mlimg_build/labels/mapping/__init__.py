"""Which synset a name is, with a score, alternatives and reasons."""
