"""Compare two specs, locks or datasets."""
