"""Images with the same bytes: which of them counts, and with which labels."""
