"""What a model sees in images."""
