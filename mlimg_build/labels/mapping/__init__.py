"""Map names to synsets, with a score, alternatives and reasons."""
