"""The commands of ``python -m jobs`` and their options. Every option has its unit in its description and its default in ``--help``."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from jobs.engine import EngineOptions
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


Command = Run | Observe | Select | Refine | Pack | Report | Assets | Anchors
COMMANDS: dict[str, type[Command]] = {command.__name__.lower(): command for command in (Run, Observe, Select, Refine, Pack, Report, Assets, Anchors)}
