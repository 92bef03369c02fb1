"""Shards and datasets, written whole or not at all."""
