"""ImageNet's validation list: the forms of its ground truth, and the tables of its synsets."""
