"""The network of the ablation: the real one, so small that a training takes minutes."""

import torch

from benchmarks.ablation.drawn import FRAMES, SIDE
from model.audio.log_mel import LogMel
from model.checkpoint import Checkpoint
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.words import WordEmbedding
from model.head_start import hand_noise_through
from model.presets import Usage, tiny
from model.sampler import SamplerOptions
from training.data.draws import generator_of

TEXT_DIM, TEXT_LENGTH = 32, 8
STEPS = 6
"""Of sampling."""
FRAME_RATE = 16.0


def checkpoint(seed: int) -> Checkpoint:
    """Untrained, the same for the same seed. A token is a patch of 4 x 4 pixels of one frame."""
    codec = PixelUnshuffleCodec(spatial_factor=2, temporal_factor=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator_of(seed, 0, "network", "weights").initial_seed())
        transformer = tiny().build(
            in_channels=codec.channels,
            out_channels=codec.channels,
            num_attention_heads=4,
            attention_head_dim=16,
            num_layers=3,
            ffn_dim=192,
            text_dim=TEXT_DIM,
            audio_dim=None,
            audio_layers=(),
        )
        hand_noise_through(transformer)
    usage = Usage(FRAME_RATE, FRAMES, SIDE * SIDE, STEPS, guidance=1.0)
    text = WordEmbedding(TEXT_DIM, TEXT_LENGTH, seed=seed)
    return Checkpoint(transformer.eval(), codec, text, None, LogMel(), SamplerOptions("euler", STEPS, shift=1.0), usage)
