"""From a spec to a dataset, in one straight line of rooms: see README.md."""
