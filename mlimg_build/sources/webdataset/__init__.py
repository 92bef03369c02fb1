"""Tars of samples: which files they are, which members belong together, what their JSON and texts say."""
