"""What the network hears: features of a waveform, and the window of them that belongs to each latent frame."""
