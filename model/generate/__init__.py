"""A video of any length from one checkpoint: chunk by chunk, written as it comes, resumable at every chunk."""
