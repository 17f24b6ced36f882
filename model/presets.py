"""The networks we know by name: Wan's published configurations with our additions, and one that is small enough for two cores.

Configurations as published with the weights (Wan-Video/Wan2.1 and Wan2.2, ``wan/configs``; Apache-2.0), in the words of diffusers.
Sampling defaults likewise: ``sample_shift``, ``sample_steps``, ``sample_guide_scale``, ``frame_num``, ``sample_fps``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from types import MappingProxyType
from typing import Any, Self

from model.errors import ModelInputError
from model.transformer import AnchorWanTransformer3DModel

AUDIO_DIM = 80
"""Bands of LogMel, the features that need no weights."""

LISTEN_EVERY = 4
"""Blocks from one audio layer to the next, as in Wan2.2-S2V."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How a network is meant to be used: what nothing in its configuration tells.

    Attributes:
        frame_rate: frames per second of its videos.
        chunk_latents: latent frames of a chunk.
        area: width x height it is made for, in pixels.
        steps, guidance: of sampling.
    """

    frame_rate: float
    chunk_latents: int
    area: int
    steps: int
    guidance: float

    def __post_init__(self) -> None:
        """Check what may come out of a file.

        Raises:
            ModelInputError: not a number above 0, or a part of one where things are counted.
        """
        for each in fields(self):
            value = getattr(self, each.name)
            known = (int,) if each.type is int else (int, float)
            if isinstance(value, bool) or not isinstance(value, known) or not isfinite(value) or value <= 0:
                raise ModelInputError(f"{each.name} must be a {'whole ' if each.type is int else ''}number above 0, not {value!r}")

    @classmethod
    def of(cls, settings: object) -> Self:
        """From what was read out of a file.

        Raises:
            ModelInputError: more or less than the attributes, or values that make no video.
        """
        names = {each.name for each in fields(cls)}
        if not isinstance(settings, dict) or settings.keys() != names:
            raise ModelInputError(f"there must be {', '.join(sorted(names))} and nothing else, not {settings!r}")
        return cls(**settings)


@dataclass(frozen=True, slots=True)
class Preset:
    """A network and how it is meant to be used.

    Attributes:
        name: of the function that makes it.
        transformer: arguments of AnchorWanTransformer3DModel.
        usage: what it was trained for.
        shift: of the noise levels, in sampling; checkpoints say it in their scheduler's configuration.
    """

    name: str
    transformer: Mapping[str, Any] = field(repr=False)
    usage: Usage
    shift: float

    def build(self, **changes: Any) -> AnchorWanTransformer3DModel:
        """The network with random weights; ``changes`` replace arguments, for instance ``num_layers=2`` for a test. Audio layers go with their blocks."""
        arguments = {**self.transformer, **changes}
        if "audio_layers" not in changes:
            arguments["audio_layers"] = tuple(index for index in arguments["audio_layers"] if index < arguments["num_layers"])
        return AnchorWanTransformer3DModel(**arguments)


def tiny() -> Preset:
    """For tests, demos and ablations on a CPU: 48 channels of PixelUnshuffleCodec(spatial_factor=2, temporal_factor=4), words as text.

    A token is 2 x 2 x 48 = 192 numbers, and the layers are wider than that: the noise that a velocity holds has to get through them.
    """
    transformer = _transformer(heads=8, head_dim=32, layers=4, ffn_dim=1024, channels=48, text_dim=64, freq_dim=64, listen_every=2)
    return Preset("tiny", transformer, Usage(frame_rate=16.0, chunk_latents=21, area=48 * 48, steps=8, guidance=1.0), shift=3.0)


def wan2_1_t2v_1_3b() -> Preset:
    """Wan 2.1 text-to-video 1.3B."""
    transformer = _transformer(heads=12, layers=30, ffn_dim=8960, channels=16)
    return Preset("wan2_1_t2v_1_3b", transformer, Usage(frame_rate=16.0, chunk_latents=21, area=480 * 832, steps=50, guidance=5.0), shift=5.0)


def wan2_1_i2v_14b() -> Preset:
    """Wan 2.1 image-to-video 14B (480p): 16 latent channels, 4 of mask and 16 of condition; attention to a CLIP picture."""
    transformer = _transformer(heads=40, layers=40, ffn_dim=13824, channels=16, in_channels=36, image_dim=1280, added_kv_proj_dim=5120)
    return Preset("wan2_1_i2v_14b", transformer, Usage(frame_rate=16.0, chunk_latents=21, area=480 * 832, steps=40, guidance=5.0), shift=3.0)


def wan2_2_ti2v_5b() -> Preset:
    """Wan 2.2 text-and-image-to-video 5B: 48 channels, each latent frame at a time of its own."""
    transformer = _transformer(heads=24, layers=30, ffn_dim=14336, channels=48)
    return Preset("wan2_2_ti2v_5b", transformer, Usage(frame_rate=24.0, chunk_latents=31, area=704 * 1280, steps=50, guidance=5.0), shift=5.0)


PRESETS: Mapping[str, Callable[[], Preset]] = MappingProxyType({make.__name__: make for make in (tiny, wan2_1_t2v_1_3b, wan2_1_i2v_14b, wan2_2_ti2v_5b)})


def preset(name: str) -> Preset:
    """A preset by name.

    Raises:
        ModelInputError: there is none of that name.
    """
    if name not in PRESETS:
        raise ModelInputError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]()


def differences(config: Mapping[str, Any], name: str) -> list[str]:
    """Where a network's configuration is not the preset's: ``num_layers 30 instead of 40``. What we add to Wan may differ."""
    wanted = preset(name).transformer
    stock = (key for key in wanted if not key.startswith(("audio_", "anchor_")))
    return [f"{key} {_plain(config.get(key))} instead of {wanted[key]}" for key in stock if _plain(config.get(key)) != wanted[key]]


def nearest(config: Mapping[str, Any]) -> str | None:
    """The preset that a configuration is, or None."""
    return next((name for name in PRESETS if not differences(config, name)), None)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _transformer(heads: int, layers: int, ffn_dim: int, channels: int, head_dim: int = 128, listen_every: int = LISTEN_EVERY, **other: Any) -> dict[str, Any]:
    stock = {
        "patch_size": (1, 2, 2),
        "num_attention_heads": heads,
        "attention_head_dim": head_dim,
        "in_channels": channels,
        "out_channels": channels,
        "text_dim": 4096,
        "freq_dim": 256,
        "ffn_dim": ffn_dim,
        "num_layers": layers,
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
        "image_dim": None,
        "added_kv_proj_dim": None,
        "rope_max_seq_len": 1024,
        "pos_embed_seq_len": None,
    }
    return {**stock, **other, "audio_dim": AUDIO_DIM, "audio_layers": tuple(range(0, layers, listen_every))}
