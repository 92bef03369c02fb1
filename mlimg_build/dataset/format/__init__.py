"""The layout of a dataset, its digests and columns."""
