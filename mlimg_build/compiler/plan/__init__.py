"""Plan a build: the row and shard of each image, and the work that is left."""
