"""Decisions of a spec about its catalogs: the vocabulary, its hierarchy, pairs of categories."""
