"""Find what people should review before they trust the labels."""
