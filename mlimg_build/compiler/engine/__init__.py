"""What runs tasks and keeps their results; it knows nothing of images or labels."""
