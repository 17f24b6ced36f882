"""What a finished training leaves behind: its weights as a folder in diffusers' layout, for whoever generates with them or trains on."""

import json
import shutil
from pathlib import Path

from training.checkpoint_folder import ABOUT
from training.export import export
from training.parts import Parts

MODEL = "model"
"""Its name in OUT."""


def export_finished(parts: Parts) -> None:
    """Write OUT/model, or replace what an earlier end of the same training left there; a folder that is not such a one is left alone.

    Raises:
        TrainingError, ModelInputError: as ``export``.
    """
    folder = parts.out / MODEL
    if folder.exists() and not _is_older(folder, parts.progress.step):
        parts.log.say(f"{folder} is there already and left alone; write another with: python -m training export --out {parts.out} --to FOLDER")
        return
    newer, older = (folder.with_name(f".{MODEL}.{name}") for name in ("newer", "older"))
    for leftover in (newer, older):
        shutil.rmtree(leftover, ignore_errors=True)
    export(parts.out, newer)
    if folder.exists():
        folder.rename(older)
    newer.rename(folder)
    shutil.rmtree(older, ignore_errors=True)
    weights = "the weights" if parts.average is None else "the averaged weights"
    parts.log.say(f"{folder}: {weights} after step {parts.progress.step:,}, for `python -m model generate --checkpoint` and for --from-checkpoint")


def _is_older(folder: Path, step: int) -> bool:
    """Whether it was exported after an earlier step."""
    try:
        return bool(json.loads((folder / ABOUT).read_text())["step"] < step)
    except (OSError, ValueError, KeyError, TypeError):
        return False
