"""Read a dataset."""
