"""OUT/metrics.jsonl: what was measured, a line of JSON at a time.

    {"kind": "training", "step": 10, "loss": 0.93, …}
    {"kind": "validation", "step": 500, "loss": 0.81, …}
    {"kind": "skipped", "step": 512, "key": "…", "reason": "…"}

A training that goes on from step S writes again what comes after S: lines that an earlier run wrote of it are cut off first, so that each step stands once.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NAME = "metrics.jsonl"
LEVEL_NAME = "loss_sigma_"
"""What the names of validation losses at a noise level begin with; the level follows."""

Line = dict[str, Any]


class MetricsFile:
    """Appends lines, each at once and whole.

    A disk that is full does not end a training that could still be saved elsewhere or later: it is told once, and lines wait in memory until there is room.
    """

    def __init__(self, path: Path, resumed_at: int | None, tell: Callable[[str], object]) -> None:
        """Open, cut off what is to be written again.

        Args:
            path: of the file; its folder is there.
            resumed_at: the step that the training goes on from; None for a new one, which starts an empty file.
            tell: is given a sentence when nothing can be written.
        """
        self._path, self._tell, self._waiting, self._told = path, tell, b"", False
        cut(path, resumed_at)
        self._file = path.open("ab", buffering=0)

    def append(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Write a line. Numbers that JSON does not have are null."""
        line = {"kind": kind, "step": step} | {name: _plain(value) for name, value in values.items()}
        self._waiting += json.dumps(line, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        self._write()

    def close(self) -> None:
        """Make what was written safe from a loss of power."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._tell_once(error)
        self._file.close()

    def _write(self) -> None:
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(self._waiting) < len(self._waiting):
                raise OSError("no space for a whole line")
        except OSError as error:
            self._file.truncate(end)
            self._tell_once(error)
        else:
            self._waiting, self._told = b"", False

    def _tell_once(self, error: OSError) -> None:
        if not self._told:
            self._tell(f"{self._path} cannot be written ({error.strerror or error}); the training goes on, and its lines wait until there is room: free some")
        self._told = True


def read(path: Path) -> list[Line]:
    """The lines of a file, in order. What a loss of power left of one is passed over; no file is no lines."""
    content = path.read_bytes() if path.exists() else b""
    return [line for line in map(_parsed, content.split(b"\n")[:-1]) if line is not None]


def cut(path: Path, resumed_at: int | None) -> None:
    """Leave the lines of steps up to ``resumed_at``; none when it is None. All happens or nothing does."""
    if not path.exists():
        return
    kept = [line for line in read(path) if resumed_at is not None and line["step"] <= resumed_at]
    content = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in kept)
    if content != path.read_bytes():
        temporary = path.with_name(f".{path.name}.part")
        temporary.write_bytes(content)
        temporary.replace(path)


def _parsed(line: bytes) -> Line | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and {"kind", "step"} <= parsed.keys() else None


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
