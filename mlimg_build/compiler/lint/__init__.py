"""What to look at before one trusts the labels."""
