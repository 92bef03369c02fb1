"""A dataset as Python sees it."""
