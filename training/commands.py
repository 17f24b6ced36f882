"""The smaller commands of ``python -m training`` and their options."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Export:
    """Write a checkpoint of a training as a folder in diffusers' layout, which `python -m model generate` and `--from-checkpoint` read."""

    out: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """OUT of the training"""
    to: Annotated[Path, tyro.conf.arg(metavar="FOLDER")]
    """folder to be made"""
    step: int | None = None
    """of the checkpoint; the newest when not given"""
    from_checkpoint: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """what the training started from, where it is no longer where it was"""
    weights: Literal["average", "raw"] | None = None
    """the moving averages, or the weights as they were trained; the averages, if they were kept, when not given"""


@dataclass(frozen=True)
class Index:
    """Write the index.parquet of webdataset tars that `pack` did not write, so that they can be trained on."""

    shards: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TAR…")]
    """tars, or folders of them; paths or URLs"""
    out: Annotated[str | None, tyro.conf.arg(metavar="INDEX.parquet")] = None
    """where to write; index.parquet beside the tars when not given"""


COMMANDS = {"export": Export, "index": Index}
