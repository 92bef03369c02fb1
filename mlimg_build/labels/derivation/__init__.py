"""Derive labels from statements: contradictions, implication, co-occurrence, and the proof of each label."""
