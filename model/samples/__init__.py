"""From a shard's sample to what the network takes: decoding, size, encoding. The trainer does it on the way, ``python -m jobs encode`` ahead of time."""
