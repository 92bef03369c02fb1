"""Which category implies which."""
