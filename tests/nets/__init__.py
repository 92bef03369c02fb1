"""What no change may move: digests, old formats, codes, states."""
