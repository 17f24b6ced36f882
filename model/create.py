"""New checkpoints: the tiny network from nothing, or a public Wan checkpoint with our parts added, which have no effect until they are trained."""

from pathlib import Path

import torch

from model.audio.log_mel import LogMel
from model.audio.protocols import AudioFeatures
from model.audio.wav2vec2 import Wav2Vec2Features
from model.checkpoint import Checkpoint
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.words import WordEmbedding
from model.errors import ModelInputError
from model.head_start import hand_noise_through
from model.presets import preset
from model.sampler import SamplerOptions

TINY_SPATIAL_FACTOR, TINY_TEMPORAL_FACTOR = 2, 4


def create_tiny(seed: int, audio_features: AudioFeatures | None = None) -> Checkpoint:
    """An untrained checkpoint of the preset ``tiny``, the same for the same seed. It hears ``audio_features``, or log-mel bands."""
    recipe, features = preset("tiny"), audio_features or LogMel()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = recipe.build(audio_dim=features.dim)
        hand_noise_through(transformer)
    return Checkpoint(
        transformer.eval(),
        PixelUnshuffleCodec(TINY_SPATIAL_FACTOR, TINY_TEMPORAL_FACTOR),
        WordEmbedding(dim=transformer.config.text_dim, seed=seed),
        None,
        features,
        SamplerOptions("unipc", recipe.usage.steps, recipe.shift),
        recipe.usage,
    )


def extend_stock(folder: Path, preset_name: str, seed: int, audio_features: AudioFeatures | None = None) -> Checkpoint:
    """A public Wan checkpoint that can hear, by the preset's audio layers. Its weights stay of the type that they are stored in.

    Raises:
        ModelInputError: the folder is not of that preset, or not complete.
    """
    features = audio_features or LogMel()
    ours = {"audio_dim": features.dim, "audio_layers": preset(preset_name).transformer["audio_layers"]}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Checkpoint.load(folder, None, preset_name, features, **ours)


def create(preset_name: str, stock: Path | None, seed: int, wav2vec2: Path | None = None) -> Checkpoint:
    """What ``python -m model init`` writes.

    Raises:
        ModelInputError: no such preset, or one that needs public weights and got none; a folder that is not what it should be.
    """
    preset(preset_name)
    features = None if wav2vec2 is None else Wav2Vec2Features.load(wav2vec2)
    if stock is not None:
        return extend_stock(stock, preset_name, seed, features)
    if preset_name != "tiny":
        raise ModelInputError(f"{preset_name} starts from public weights: give their folder (a diffusers pipeline) with --stock")
    return create_tiny(seed, features)
