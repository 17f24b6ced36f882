"""What can be chosen about a video.

Numbers that cannot be are refused here when nothing else refuses them before the first chunk; on the command line, as any other wrong usage.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tyro

from model.errors import ModelInputError

Droppable = Literal["text", "audio", "anchors"]
Kind = Literal["global", "viewpoint", "expression"]
Continuation = Literal["latents", "frames"]
Speed = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"]
"""x264's presets."""

Folder = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
File = Annotated[Path, tyro.conf.arg(metavar="FILE")]
MaybeFolder = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
MaybeFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
"""Metavars of the whole type: that of a part is lost."""


@dataclass(frozen=True)
class Size:
    """How large, how long, how cut."""

    seconds: float | None = None
    """seconds; as long as the audio when left out"""
    width: int | None = None
    """pixels; with height left out too, the shape of the image or of the anchors at the network's own area"""
    height: int | None = None
    """pixels"""
    frame_rate: float | None = None
    """frames per second; the network's own when left out"""
    chunk_latents: int | None = None
    """latent frames per chunk; the network's own when left out"""
    prefix_latents: int = 2
    """latent frames of a chunk that the chunk before gives it"""


@dataclass(frozen=True)
class Sampling:
    """From noise to latents. What is left out is the checkpoint's own."""

    sampler: Literal["unipc", "euler"] | None = None
    """solver"""
    steps: int | None = None
    """steps per chunk"""
    shift: float | None = None
    """of the noise levels towards noise"""
    guidance: float | None = None
    """scale of classifier-free guidance; 1 switches it off and halves the work"""
    guidance_drops: tuple[Droppable, ...] = ("text",)
    """what guidance leads away from the lack of"""
    seed: int = 0
    """with everything else the same, gives the same video"""

    def __post_init__(self) -> None:
        """Check the ranges; those of steps and shift are SamplerOptions' own."""
        _check(self, {"guidance": (0, None), "seed": (0, None)}, "sampling.")


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How pictures and sound are coded."""

    crf: int = 16
    """constant rate factor of H.264: 0 is lossless, 51 the worst, 16 hard to tell from the source"""
    preset: Speed = "medium"
    """x264's trade of time for size"""
    keyframe_interval: int = 16
    """frames from one keyframe to the next; every chunk begins with one"""
    audio_bits: int = 96_000
    """bits per second of the sound, AAC; more than 96000 it cannot use at 16 kHz, mono"""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.preset not in get_args(Speed):
            raise ModelInputError(f"--recording.preset {self.preset!r} is none of x264's; take one of {', '.join(get_args(Speed))}")
        _check(self, {"crf": (0, 51), "keyframe_interval": (1, 100_000), "audio_bits": (8_000, 96_000)}, "recording.")


@dataclass(frozen=True)
class Generate:
    """Make a video of one character, as long as you like, chunk by chunk. Stopped, the same command goes on from the last finished chunk."""

    checkpoint: Folder
    """folder of a diffusers pipeline: public Wan weights, or one written by this project"""
    out: File
    """the video, MP4; OUT.partial.h264 grows beside it and can be played meanwhile, OUT.state/ holds the chunk log and what the next chunk needs"""
    prompt: Annotated[str, tyro.conf.arg(metavar="TEXT|FILE.yaml")]
    """what happens, throughout; or a YAML list of what happens when, in seconds, without gaps: - {from: 0, to: 12.5, prompt: "..."}.
    A change is seen from the first chunk that begins after it; a chunk is up to about 5 s long"""
    negative_prompt: str = ""
    """what guidance leads away from"""
    anchors: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER|FILE")] = None
    """the character: a folder of pictures (global.jpg, viewpoint-left.jpg …), an unpacked shard sample, or a file of `python -m jobs anchors`"""
    character: str | None = None
    """which, where the file has several"""
    anchors_per_class: int = 1
    """anchors of one kind and class, at most, best first"""
    anchor_kinds: tuple[Kind, ...] = ("global", "viewpoint", "expression")
    """only these"""
    image: MaybeFile = None
    """the first frame; image-to-video networks need one"""
    audio: MaybeFile = None
    """what the character says: any file with an audio stream; heard by the network, and put under the video as 16 kHz mono"""
    preset: str | None = None
    """refuse a checkpoint that is not this network"""
    continuation: Continuation = "latents"
    """what a chunk begins with: the last latents of the one before, or its last frames, encoded again (as the paper words it)"""
    cache_anchors: bool = False
    """compute the anchors once per prompt instead of in every step: faster, but they no longer see the video"""
    record_attention: bool = False
    """write how much each latent frame attends to each anchor to OUT.state/attention.jsonl; `python -m model attention` draws it"""
    size: Size = field(default_factory=Size)
    sampling: Sampling = field(default_factory=Sampling)
    recording: RecordingOptions = field(default_factory=RecordingOptions)
    device: str = "auto"
    """cpu, cuda, cuda:1 …; auto takes a GPU when there is one"""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """of the network; auto is bfloat16 on a GPU, float32 on a CPU"""
    threads: int | None = None
    """of the CPU; PyTorch's own choice when left out. Another number gives other last bits, so it is refused when a run goes on"""
    restart: bool = False
    """forget what an earlier run of the same video has done"""

    def __post_init__(self) -> None:
        """Check the ranges; what depends on the checkpoint and the inputs is checked with them."""
        _check(self, {"anchors_per_class": (1, None), "threads": (1, None)})


@dataclass(frozen=True)
class Init:
    """Write a checkpoint to start from: the tiny network with random weights, or public Wan weights with our parts added."""

    out: Folder
    """folder to be made"""
    preset: str = "tiny"
    """tiny, wan2_1_t2v_1_3b, wan2_1_i2v_14b, wan2_2_ti2v_5b"""
    stock: MaybeFolder = None
    """folder of the public weights (a diffusers pipeline); tiny needs none"""
    wav2vec2: MaybeFolder = None
    """folder of wav2vec 2.0 weights (of transformers) to hear by; log-mel bands, which need no weights, when left out"""
    seed: int = 0
    """of what is random"""

    def __post_init__(self) -> None:
        """Check the ranges."""
        _check(self, {"seed": (0, 2**63 - 1)})


@dataclass(frozen=True)
class Export:
    """Write the network without our parts, for stock diffusers (WanTransformer3DModel.from_pretrained)."""

    checkpoint: Folder
    """folder written by this project"""
    out: Folder
    """folder to be made"""


@dataclass(frozen=True)
class Attention:
    """Draw how much the video attended to each anchor over time."""

    record: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RECORD")]
    """OUT.state/attention.jsonl of a video made with --record-attention, or OUT.state"""
    out: MaybeFile = None
    """picture to be made, PNG; beside the record when left out"""


def _check(options: Any, ranges: Mapping[str, tuple[int, int | None]], group: str = "") -> None:
    """Refuse numbers out of their range, nan among them; None is left out."""
    for name, (least, most) in ranges.items():
        value = getattr(options, name)
        if value is not None and not (math.isfinite(value) and least <= value and (most is None or value <= most)):
            wanted = f"at least {least}" if most is None else f"{least} to {most}"
            raise ModelInputError(f"--{group}{name.replace('_', '-')} must be {wanted}, not {value}")


Command = Generate | Init | Export | Attention
COMMANDS: dict[str, type[Command]] = {command.__name__.lower(): command for command in (Generate, Init, Export, Attention)}
