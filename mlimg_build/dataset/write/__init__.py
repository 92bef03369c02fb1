"""Write shards and datasets, whole or not at all."""
