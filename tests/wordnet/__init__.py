"""Tests of wordnet."""
