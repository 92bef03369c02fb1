"""The lock: what was decided, as small files that people review."""
