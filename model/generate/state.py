"""What a run needs to go on after its last finished chunk, in the folder ``OUT.state`` beside the video.

    settings.json       what the video is made with, and its hash; written first
    chunks.jsonl        one line per chunk, for people
    carry.safetensors   what the next chunk begins with; replacing it is what makes a chunk done

Until a chunk is done there is nothing that other settings could spoil: they replace those that are there.

A chunk's frames go to the disk first, then its line in the log, then the carry. Whatever a killed run left behind the carry (frames, a line, a file under a
temporary name) is cut off when the run goes on.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from model.attention_log import NAME as ATTENTION
from model.disk import disk_error
from model.errors import ModelInputError

FOLDER = ".state"
"""What the folder's name adds to the video's."""
SETTINGS, LOG, CARRY = "settings.json", "chunks.jsonl", "carry.safetensors"
TEMPORARY = ".unfinished"
_MOST_NAMED = 8
"""Settings that a refusal names."""


@dataclass(frozen=True, slots=True, eq=False)
class Carry:
    """What the next chunk begins with.

    Attributes:
        chunk: number of the chunk that is done.
        bytes_written: length of the file that grows, see Recording.
        frames_written: frames in it.
        held: (3, T, H, W) float32, frames that wait for the next chunk, see blend.
        latents: (C, p, h, w) float32, the last latents of the chunk; of the last chunk none, p = 0.
    """

    chunk: int
    bytes_written: int
    frames_written: int
    held: Tensor
    latents: Tensor


class RunState:
    """The folder of one run.

    Attributes:
        folder: where.
        carry: after which chunk to go on; None before the first is done.
    """

    def __init__(self, folder: Path, carry: Carry | None) -> None:
        self.folder, self.carry = folder, carry

    @classmethod
    def open(cls, out: Path, settings: Mapping[str, Any], restart: bool = False) -> Self:
        """The state of the run that makes a video: a new one, or that of a run which was stopped, tidied up.

        Args:
            out: the video.
            settings: everything that its frames depend on, as JSON can hold it; groups in groups are fine.
            restart: forget what was done.

        Raises:
            ModelInputError: it was begun with other settings, the folder is damaged, or cannot be written.
        """
        folder = out.with_name(out.name + FOLDER)
        if restart:
            cls(folder, None).remove()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(f"*{TEMPORARY}"):
                leftover.unlink()
            _take_settings(folder, out, settings)
            state = cls(folder, _read_carry(folder / CARRY))
            state._cut_log()
            if state.carry is None:
                (folder / ATTENTION).unlink(missing_ok=True)
        except OSError as error:
            raise ModelInputError(f"{folder} cannot be written ({error.strerror}); choose another --out") from error
        return state

    @property
    def next_chunk(self) -> int:
        """The chunk to go on with."""
        return 0 if self.carry is None else self.carry.chunk + 1

    def commit(self, carry: Carry, line: Mapping[str, Any]) -> None:
        """Make a chunk done, whose frames are on the disk already.

        Args:
            carry: what the next one begins with.
            line: what to say about it in the log, as JSON can hold it; its number is added.

        Raises:
            ModelInputError: the disk is full, or cannot be written any more; the chunk is not done.
        """
        if carry.chunk != self.next_chunk:
            raise ValueError(f"chunk {self.next_chunk} is to be done next, not {carry.chunk}")
        numbers = {"chunk": carry.chunk, "bytes_written": carry.bytes_written, "frames_written": carry.frames_written}
        tensors = {"held": carry.held.float().cpu().contiguous(), "latents": carry.latents.float().cpu().contiguous()}
        content = save(tensors, {"carry": json.dumps(numbers)})  # one entry: several come in any order
        try:
            with (self.folder / LOG).open("a") as log:
                log.write(json.dumps({"chunk": carry.chunk} | dict(line)) + "\n")
                log.flush()
                os.fsync(log.fileno())
            _write(self.folder / CARRY, content)
        except OSError as error:
            raise disk_error(self.folder, error) from error
        self.carry = carry

    def remove(self) -> None:
        """Remove the folder: the video is there, or not wanted any more. Files that are not this run's stay."""
        if self.folder.is_dir():
            for name in (CARRY, LOG, ATTENTION, SETTINGS):  # the carry first: without it, nothing is done
                (self.folder / name).unlink(missing_ok=True)
            if not any(self.folder.iterdir()):
                self.folder.rmdir()
        self.carry = None

    def _lines(self) -> list[str]:
        path = self.folder / LOG
        return path.read_text().splitlines(keepends=True) if path.exists() else []

    def _cut_log(self) -> None:
        lines = self._lines()
        if len(lines) < self.next_chunk:
            raise ModelInputError(f"{self.folder / LOG} has lines of {len(lines)} chunks where {self.next_chunk} are done; begin anew with --restart")
        if len(lines) > self.next_chunk:
            _write(self.folder / LOG, "".join(lines[: self.next_chunk]).encode())


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two settings, as ``name: before, now``; those in groups with dots."""
    old, new = _flat(before), _flat(now)
    return [f"{name}: {_shown(old, name)}, now {_shown(new, name)}" for name in sorted(old.keys() | new.keys()) if _shown(old, name) != _shown(new, name)]


def _take_settings(folder: Path, out: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of a run that has done nothing yet, or compare them with those of the chunks that are done."""
    path = folder / SETTINGS
    content = json.loads(json.dumps(settings))
    if not (folder / CARRY).exists():
        _write(path, json.dumps({"hash": _hash(content), "settings": content}, indent=1).encode())
        return
    if not path.exists():
        raise ModelInputError(f"{path} is gone, so nobody knows what {out.name} was begun with; begin anew with --restart")
    try:
        known = json.loads(path.read_bytes())
        before, known_hash = known["settings"], known["hash"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelInputError(f"{path} is damaged; begin anew with --restart") from error
    if known_hash != _hash(content):
        found = differences(before, content)
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        raise ModelInputError(
            f"{out} was begun with other settings ({'; '.join(found[:_MOST_NAMED])}{more}); "
            "take those to go on with it, or another --out to keep it, or --restart to begin anew"
        )


def _hash(settings: Any) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) and value else {f"{prefix}{name}": value}
    return flat


def _shown(flat: Mapping[str, Any], name: str) -> str:
    return json.dumps(flat[name], sort_keys=True) if name in flat else "not there"


def _read_carry(path: Path) -> Carry | None:
    if not path.exists():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            numbers = json.loads((file.metadata() or {})["carry"])
            return Carry(numbers["chunk"], numbers["bytes_written"], numbers["frames_written"], file.get_tensor("held"), file.get_tensor("latents"))
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelInputError(f"{path} is damaged; begin anew with --restart") from error


def _write(path: Path, content: bytes) -> None:
    """Replace a file so that a reader, or the next run, sees the old content or the new one."""
    temporary = path.with_name(path.name + TEMPORARY)
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
