"""Folders to be written: never one that holds something, for what lies there may be the only copy of a training."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from model.errors import ModelInputError


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make an empty folder, before the work on what is to lie in it begins; when that fails and nothing was written, it goes away again.

    Raises:
        ModelInputError: it is a file, or not empty, or cannot be made or written to.
    """
    try:
        made = _make(folder)
    except OSError as error:
        raise ModelInputError(f"{folder} cannot be made ({error.strerror}); choose another with --out") from error
    try:
        yield
    except BaseException:
        for path in made:
            if any(path.iterdir()):
                break
            path.rmdir()
        raise


def _make(folder: Path) -> list[Path]:
    """The folders that were made, innermost first."""
    if not folder.is_dir():
        if os.path.lexists(folder):
            raise ModelInputError(f"{folder} is not a folder; choose another with --out, or remove it")
        made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True)
        return made
    if any(folder.iterdir()):
        raise ModelInputError(f"{folder} is not empty, and nothing is written over; choose another with --out, or remove it")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ModelInputError(f"{folder} cannot be written to; choose another with --out")
    return []
