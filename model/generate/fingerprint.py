"""What files hold, in a few characters: a run that goes on must have the same inputs as the one that was stopped."""

import hashlib
from pathlib import Path

import numpy as np

BLOCK = 1 << 20
"""Bytes."""

BLOCKS = 16
"""Blocks of a large file that are read: a checkpoint has tens of gigabytes."""


def of_file(path: Path) -> str:
    """Hash of a file's size and of up to BLOCKS blocks spread over it."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    places = sorted({max(0, int(place)) for place in np.linspace(0, max(0, size - BLOCK), BLOCKS)}) if size > BLOCKS * BLOCK else range(0, size, BLOCK)
    with path.open("rb") as file:
        for place in places:
            file.seek(place)
            digest.update(file.read(BLOCK))
    return digest.hexdigest()[:16]


def of_folder(folder: Path) -> str:
    """Hash of the names and contents of all files in a folder, as ``of_file``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256("".join(f"{path.relative_to(folder)} {of_file(path)}\n" for path in files).encode()).hexdigest()[:16]
