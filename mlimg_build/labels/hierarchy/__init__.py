"""The hierarchy of categories: which one implies which."""
