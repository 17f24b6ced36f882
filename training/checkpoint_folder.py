"""The checkpoints of a training as folders: their names, which of them are whole, and what each says of itself.

OUT/checkpoints/step-00000500/      what torch.distributed.checkpoint writes: a file per rank, and .metadata, which says where each tensor is
    training.json                   step, progress, version of torch, ranks: for people, and for whoever needs no tensors
OUT/checkpoints/.step-00000500.…    not finished, or about to be removed; of no use to anybody, and cleared away at the next start
"""

import json
import re
from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.api import CheckpointException

from training.errors import TrainingError

FOLDER = "checkpoints"
ABOUT = "training.json"
PROGRESS = "progress"
"""The part of a state that is a few plain numbers: it goes to training.json."""
_METADATA = ".metadata"
_NAME = re.compile(r"step-(\d{8,})")


def name_of(step: int) -> str:
    """The name of a step's folder."""
    return f"step-{step:08d}"


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """The finished checkpoints in a folder, by step, in order."""
    found = {int(match[1]): path for path in (folder.iterdir() if folder.is_dir() else ()) if (match := _NAME.fullmatch(path.name)) and _whole(path)}
    return dict(sorted(found.items()))


def newest_in(folder: Path) -> Path | None:
    """The finished checkpoint of the highest step; None when there is none."""
    return next(reversed(checkpoints_in(folder).values()), None)


def read_about(path: Path) -> dict[str, Any]:
    """What training.json says of a checkpoint: step, progress, torch, ranks.

    Raises:
        TrainingError: there is none, or it is damaged.
    """
    try:
        about: dict[str, Any] = json.loads((path / ABOUT).read_text())
        about["step"], about[PROGRESS]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(damaged(path, error)) from error
    return about


def damaged(path: Path, error: BaseException) -> str:
    """The sentence for a checkpoint that cannot be read."""
    said = " ".join(str(cause_of(error)).split())[:300]
    return f"{path} is damaged ({said}); remove that folder, and the training goes on from the checkpoint before it"


def cause_of(error: BaseException) -> BaseException:
    """What went wrong, on the first rank where something did."""
    return next(iter(error.failures.values()))[0] if isinstance(error, CheckpointException) else error


def _whole(path: Path) -> bool:
    return (path / _METADATA).is_file() and (path / ABOUT).is_file()
