"""Find images with the same bytes, and decide which of them counts and with which labels."""
