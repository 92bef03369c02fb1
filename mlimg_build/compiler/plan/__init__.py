"""Which image lies in which row of which shard, and what is left to do."""
