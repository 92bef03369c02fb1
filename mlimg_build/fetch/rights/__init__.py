"""Signals by which a site reserves rights in its images, and the licences that images are under."""
