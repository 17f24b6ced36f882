"""How the network listens: tokens of a latent frame attend to the window of audio around that frame's time."""

import torch
from diffusers.models.embeddings import PixArtAlphaTextProjection
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch import Tensor, nn


class AudioEmbedder(nn.Module):
    """Audio vectors to tokens that know their place in the window, through two layers like those that Wan reads text with."""

    def __init__(self, audio_dim: int, dim: int, window: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(audio_dim)
        self.projection = PixArtAlphaTextProjection(audio_dim, dim)
        self.place = nn.Parameter(torch.randn(1, 1, window, dim) * 0.02)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, F, window, audio_dim) to (B, F, window, dim)."""
        return self.projection(self.norm(audio.to(self.projection.linear_1.weight.dtype))) + self.place


class AudioAttention(nn.Module):
    """Cross-attention from each latent frame to its own window of audio. Its output layer starts at zero: it adds nothing until it is trained."""

    def __init__(self, dim: int, heads: int, eps: float) -> None:
        super().__init__()
        self.norm = FP32LayerNorm(dim, eps, elementwise_affine=False)
        self.attention = WanAttention(dim, heads, dim // heads, eps, cross_attention_dim_head=dim // heads, processor=WanAttnProcessor())
        self.silence()

    def silence(self) -> None:
        """Set the output layer to zero."""
        nn.init.zeros_(self.attention.to_out[0].weight)
        nn.init.zeros_(self.attention.to_out[0].bias)

    def forward(self, video: Tensor, audio: Tensor, audio_mask: Tensor | None) -> Tensor:
        """What to add to the video's tokens.

        Args:
            video: (B, F * n, D), the tokens of F latent frames; anchors are not among them.
            audio: (B, F, window, D).
            audio_mask: (B,) bool, False for samples without audio, which get zeros; None when all have some.
        """
        batch, frames = audio.shape[:2]
        tokens = self.norm(video.float()).type_as(video).unflatten(1, (frames, -1)).flatten(0, 1)
        heard = self.attention(tokens, audio.flatten(0, 1)).unflatten(0, (batch, frames)).flatten(1, 2)
        return heard if audio_mask is None else heard * audio_mask.to(heard)[:, None, None]
