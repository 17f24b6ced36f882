"""What the network is conditioned on, as tensors: pixels to latents, text and pictures to embeddings."""
