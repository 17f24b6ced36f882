"""From shards to micro-batches: the same samples, in the same order, with the same random choices, on any number of ranks and workers."""
