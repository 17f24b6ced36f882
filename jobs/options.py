"""The commands of ``python -m jobs`` and their options. Every option has its unit in its description and its default in ``--help``."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from jobs.engine import EngineOptions
from jobs.placement import Device
from pipeline.observe import ObserveOptions
from pipeline.pack.options import PackOptions
from pipeline.perception.models import PerceptionOptions
from pipeline.refine.options import RefineOptions
from pipeline.report import ReportOptions
from pipeline.select.video import SelectOptions

Videos = Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME…")]
Out = Annotated[str, tyro.conf.arg(metavar="FOLDER")]
Config = Annotated[str | None, tyro.conf.arg(metavar="FILE.yaml")]


@dataclass(frozen=True)
class Run:
    """Do it all: observe, select, refine, pack, report. What is done already is not done again."""

    videos: Videos
    """videos, folders of videos, globs, lists of them (.txt, .csv, @FILE; one per line), asset:NAME for a sample; paths or URLs"""
    out: Out
    """output root, a folder or URL"""
    config: Config = None
    """options from a YAML file; those on the command line win"""
    segment_minutes: float = 10.0
    """minutes; longer videos are cut into segments of this length, at keyframes, that are observed apart"""
    observe: ObserveOptions = field(default_factory=ObserveOptions)
    perception: PerceptionOptions = field(default_factory=PerceptionOptions)
    select: SelectOptions = field(default_factory=SelectOptions)
    refine: RefineOptions = field(default_factory=RefineOptions)
    require_refine: bool = False
    """end with an error when there is no judge, or it leaves questions unanswered; else anchors are left pending, and the run goes on"""
    pack: PackOptions = field(default_factory=PackOptions)
    report: ReportOptions = field(default_factory=ReportOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class Observe:
    """Look at every video once: shots, people, their angles, expressions, identity."""

    videos: Videos
    """videos, folders of videos, globs, lists of them (.txt, .csv, @FILE; one per line), asset:NAME for a sample; paths or URLs"""
    out: Out
    """output root, a folder or URL"""
    config: Config = None
    """options from a YAML file; those on the command line win"""
    segment_minutes: float = 10.0
    """minutes; longer videos are cut into segments of this length, at keyframes, that are observed apart"""
    observe: ObserveOptions = field(default_factory=ObserveOptions)
    perception: PerceptionOptions = field(default_factory=PerceptionOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class Select:
    """From observations to characters, anchors and clips. Touches no video."""

    out: Out
    """output root, a folder or URL"""
    config: Config = None
    """options from a YAML file; those on the command line win"""
    select: SelectOptions = field(default_factory=SelectOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class Refine:
    """Have a multimodal model judge the anchors that select chose, and caption the clips. Nothing is asked twice."""

    out: Out
    """output root, a folder or URL"""
    config: Config = None
    """options from a YAML file; those on the command line win"""
    refine: RefineOptions = field(default_factory=RefineOptions)
    require_refine: bool = False
    """end with an error when there is no judge, or it leaves questions unanswered; else anchors are left pending"""
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class Pack:
    """Cut the clips and pack them with their anchors into shards; or read the shards back."""

    out: Out
    """output root, a folder or URL"""
    config: Config = None
    """options from a YAML file; those on the command line win"""
    check: bool = False
    """pack nothing: read every shard back and say what is wrong with it"""
    pack: PackOptions = field(default_factory=PackOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class Report:
    """Contact sheets and figures for people, under report/."""

    out: Out
    """output root, a folder or URL"""
    config: Config = None
    """options from a YAML file; those on the command line win"""
    report: ReportOptions = field(default_factory=ReportOptions)
    engine: EngineOptions = field(default_factory=EngineOptions)


@dataclass(frozen=True)
class Assets:
    """Model weights and sample media by name: list them, or fetch some or all into the cache."""

    action: tyro.conf.Positional[Literal["list", "fetch"]]
    """what to do"""
    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """which to fetch; all when none is named"""


@dataclass(frozen=True)
class Anchors:
    """Write one character's anchors with their pictures, for `python -m model generate`; or list the characters that have some."""

    out: Out
    """output root, a folder or URL"""
    to: Annotated[str | None, tyro.conf.arg(metavar="FILE.parquet|FOLDER")] = None
    """where to write: a parquet file, or a new folder of pictures; without it, the characters are listed"""
    character: str | None = None
    """character_id of the one that is meant; needed when there are several"""
    include_pending: bool = False
    """also those that no judge has seen yet"""
    config: Config = None
    """options from a YAML file; those on the command line win"""


@dataclass(frozen=True)
class Encode:
    """Write shards whose samples carry latents and embeddings, computed ahead of a training: of clip, anchors, caption and sound, by the codec and the
    encoders of a checkpoint, next to the pixels or instead of them. What is encoded already is not encoded again; a sample that cannot be encoded
    is a row in OUT/failures, the others go on. The trainer reads OUT/shards with networks that are exactly these, and refuses others.
    """

    shards: Annotated[tuple[str, ...], tyro.conf.arg(metavar="URL…")]
    """folders of shards with an index.parquet, or output roots of `pack`; paths or URLs"""
    out: Out
    """another output root, a folder or URL: OUT/shards will be in line with --shards, what does not belong there any more goes"""
    checkpoint: Annotated[str, tyro.conf.arg(metavar="FOLDER")]
    """folder in diffusers' layout (`python -m model init`, public Wan weights), at this path on every worker's machine; its network is not loaded"""
    area: Annotated[int | None, tyro.conf.arg(metavar="PIXELS")] = None
    """upper bound of width x height, in pixels, that clips and anchors are scaled down to; that which the checkpoint is made for when not given"""
    keep_pixels: bool = True
    """latents next to the pixels; otherwise instead of them: smaller shards, but anchors cannot be augmented, nor anything be encoded from them again"""
    dtype: Literal["float16", "float32"] = "float16"
    """type of the numbers that are stored; float32 is, to the bit, what the trainer computes from pixels on the same kind of device"""
    device: Device = "auto"
    """where networks compute; auto: on GPUs where there are some, a worker for each"""
    shard_bytes: int = 256 * 1024 * 1024
    """a shard is closed before it grows beyond this many bytes"""
    seed: int = 0
    """what the order of the samples in the shards is drawn with"""
    config: Config = None
    """options from a YAML file; those on the command line win"""
    engine: EngineOptions = field(default_factory=EngineOptions)

    def __post_init__(self) -> None:
        """Check the ranges."""
        if (self.area is not None and self.area < 1) or self.shard_bytes < 1:
            raise ValueError("encode: area and shard-bytes must be at least 1")


Command = Run | Observe | Select | Refine | Pack | Report | Assets | Anchors | Encode
COMMANDS: dict[str, type[Command]] = {command.__name__.lower(): command for command in (Run, Observe, Select, Refine, Pack, Report, Assets, Anchors, Encode)}
