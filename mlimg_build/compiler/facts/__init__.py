"""What a spec decides from catalogs: the vocabulary, its hierarchy, pairs of categories."""
