"""What is seen of the boundaries between chunks: frame-to-frame differences there and inside chunks, on a network that is trained a little."""
