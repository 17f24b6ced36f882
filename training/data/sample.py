"""What a worker hands to the loop: samples that are decoded and drawn for, not yet encoded."""

from dataclasses import dataclass

from torch import Tensor

from model.positions import AnchorClass


@dataclass(frozen=True, slots=True)
class Draws:
    """The random choices of a sample in an epoch: a function of (seed, epoch, key), see ``training.data.draws``.

    Attributes:
        first_frame: of the clip, where only a part of it is trained on.
        given: latent frames at the start that are given clean.
        sigma: noise level, 0..1.
        noise_seed: of the noise.
        drop_text, drop_audio, drop_anchors: trained without it.
    """

    first_frame: int
    given: int
    sigma: float
    noise_seed: int
    drop_text: bool
    drop_audio: bool
    drop_anchors: bool


@dataclass(frozen=True, slots=True)
class TrainingSample:
    """One sample of a micro-batch. Of ``frames`` and ``latents`` there is one, and likewise of pictures and latents of anchors.

    Attributes:
        key, epoch: whose choices these are.
        counted: False for a stand-in of weight 0; see ``Place``.
        caption: the prompt; empty when there is none or it is dropped.
        frames: (F, H, W, 3) uint8.
        latents: (C, f, h, w) float32.
        anchor_classes: what each drawn anchor shows, K of them; none when they are dropped.
        anchor_frames: (K, H, W, 3) uint8.
        anchor_latents: (K, C, h, w) float32.
        waveform: (N,) float32 at 16 kHz, of the whole clip; None without sound, or when it is dropped, or when there are features.
        audio_features: (V, D) float32 at 50 per second, of the whole clip.
        text_embedding: (T, D) float32, T tokens that are not padding; None when the caption is to be encoded.
        frame_rate: frames per second.
        draws: the choices.
    """

    key: str
    epoch: int
    counted: bool
    caption: str
    frames: Tensor | None
    latents: Tensor | None
    anchor_classes: tuple[AnchorClass, ...]
    anchor_frames: Tensor | None
    anchor_latents: Tensor | None
    waveform: Tensor | None
    audio_features: Tensor | None
    text_embedding: Tensor | None
    frame_rate: float
    draws: Draws


@dataclass(frozen=True, slots=True)
class Skipped:
    """A sample that could not be read, or was to be left out.

    Attributes:
        key: whose.
        reason: a sentence.
    """

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """What a rank computes at once: samples of one size bucket.

    Attributes:
        samples: those that could be read; at least one (a stand-in, if need be), so that every rank takes part.
        skipped: those that could not.
    """

    samples: tuple[TrainingSample, ...]
    skipped: tuple[Skipped, ...]
