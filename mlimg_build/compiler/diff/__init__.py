"""What differs between two specs, locks or datasets."""
