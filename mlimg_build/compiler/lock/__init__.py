"""The lock: the decisions of a build as small files that people review."""
