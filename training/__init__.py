"""The trainer: shards in, checkpoints and a diffusers folder out. Knows the model and the contracts, not how the data was made."""
