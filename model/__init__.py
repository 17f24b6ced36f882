"""The network, its positions, its sampling: Wan with content anchors and audio, and videos of any length."""
