"""What can be chosen about a video."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

Droppable = Literal["text", "audio", "anchors"]
Kind = Literal["global", "viewpoint", "expression"]
Continuation = Literal["latents", "frames"]

Folder = Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
File = Annotated[Path, tyro.conf.arg(metavar="FILE")]


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


@dataclass(frozen=True, slots=True)
class RecordingOptions:
    """How pictures and sound are coded."""

    crf: int = 16
    """constant rate factor of H.264: 0 is lossless, 51 the worst, 16 hard to tell from the source"""
    preset: str = "medium"
    """x264's trade of time for size"""
    keyframe_interval: int = 16
    """frames from one keyframe to the next; every chunk begins with one"""
    audio_bits: int = 96_000
    """bits per second of the sound, AAC"""


@dataclass(frozen=True)
class Generate:
    """Make a video of one character, as long as you like, chunk by chunk. Stopped, the same command goes on from the last finished chunk."""

    checkpoint: Folder
    """folder of a diffusers pipeline: public Wan weights, or one written by this project"""
    out: File
    """the video, MP4; OUT.partial.h264 grows beside it and can be played meanwhile, OUT.state/ holds the chunk log and what the next chunk needs"""
    prompt: Annotated[str, tyro.conf.arg(metavar="TEXT|FILE.yaml")]
    """what happens, throughout; or a YAML list of what happens when, in seconds, without gaps: - {from: 0, to: 12.5, prompt: "..."}"""
    negative_prompt: str = ""
    """what guidance leads away from"""
    anchors: File | None = None
    """the character: a folder of pictures (global.jpg, viewpoint-left.jpg …), an unpacked shard sample, or a file of `python -m jobs anchors`"""
    character: str | None = None
    """which, where the file has several"""
    anchors_per_class: int = 1
    """anchors of one kind and class, at most, best first"""
    anchor_kinds: tuple[Kind, ...] = ("global", "viewpoint", "expression")
    """only these"""
    image: File | None = None
    """the first frame; image-to-video networks need one"""
    audio: File | None = None
    """what the character says: any file with an audio stream; heard by the network and put under the video"""
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
    """of the CPU; PyTorch's own choice when left out. Another number gives other last bits, so a run goes on with the number it was begun with"""
    restart: bool = False
    """forget what an earlier run of the same video has done"""


@dataclass(frozen=True)
class Init:
    """Write a checkpoint to start from: the tiny network with random weights, or public Wan weights with our parts added."""

    out: Folder
    """folder to be made"""
    preset: str = "tiny"
    """tiny, wan2_1_t2v_1_3b, wan2_1_i2v_14b, wan2_2_ti2v_5b"""
    stock: Folder | None = None
    """folder of the public weights (a diffusers pipeline); tiny needs none"""
    seed: int = 0
    """of what is random"""


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
    out: File | None = None
    """picture to be made, PNG; beside the record when left out"""


Command = Generate | Init | Export | Attention
COMMANDS: dict[str, type[Command]] = {command.__name__.lower(): command for command in (Generate, Init, Export, Attention)}
