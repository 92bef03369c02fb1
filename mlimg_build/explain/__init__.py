"""Explain the origin of a label, an image or a category; reads datasets only."""
