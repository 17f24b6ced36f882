"""Checkpoints of a training on the disk, in a folder that all ranks see.

    OUT/checkpoints/step-00000500/      what torch.distributed.checkpoint writes: a file per rank, and .metadata, which says where each tensor is
        training.json                   step, progress, version of torch, ranks: for people, and for whoever needs no tensors
    OUT/checkpoints/.step-00000500.…    not finished, or about to be removed; of no use to anybody, and cleared away at the next start

A checkpoint is written beside the training: the ranks copy what is to be saved, go on, and a thread of each writes the copy. When all of them have written,
rank 0 gives the folder its name, which is what makes it a checkpoint. So there is a whole one at any time, wherever the training is cut off.
"""

import contextlib
import errno
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future as TorchFuture

from training.errors import TrainingError
from training.processes import Processes

FOLDER = "checkpoints"
ABOUT = "training.json"
PROGRESS = "progress"
"""The part of a state that is a few plain numbers: it goes to training.json."""
_METADATA = ".metadata"
_NAME = re.compile(r"step-(\d{8,})")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of a training, and the one that is being written: never more than one.

    All methods are for all ranks together, at the same step.

    Attributes:
        folder: where they lie.
        keep: how many, the newest.
    """

    def __init__(self, out: Path, keep: int, processes: Processes) -> None:
        """Make the folder, and clear away what a killed run left unfinished.

        Raises:
            TrainingError: the folder cannot be made or written to, or none would be kept.
        """
        if keep < 1:
            raise TrainingError(f"--checkpoint.keep {keep}: the training could not go on from anywhere; keep 1 or more")
        self.folder, self.keep, self._processes = out / FOLDER, keep, processes
        self._write: Future[Metadata] | None = None
        self._step = 0
        if problem := processes.from_main(self._clear() if processes.main else None):
            raise TrainingError(f"{self.folder} cannot be written to ({problem}); choose another folder with --out")

    def save(self, step: int, state: Mapping[str, Any], wait: bool = False) -> None:
        """Begin to write a checkpoint; when this returns, the tensors may change. One that is being written is waited for. A step that is saved stays.

        Args:
            step: optimizer steps that are done.
            state: tensors (sharded or the same on all ranks) and plain values in nested dictionaries; ``state["progress"]`` as JSON can hold it.
            wait: return when it is written.

        Raises:
            TrainingError: this one, when it is waited for, or the one before could not be written; see ``poll``.
        """
        self.finish()
        final = self.folder / name_of(step)
        if self._processes.from_main(final.exists()):
            return
        about = {"step": step, PROGRESS: state.get(PROGRESS, {}), "torch": str(torch.__version__), "ranks": self._processes.ranks}
        writer = _Writer(self._unfinished(step), final, about, self.keep)
        tensors = {key: value for key, value in state.items() if key != PROGRESS}
        self._write, self._step = async_save(tensors, storage_writer=writer, process_group=self._processes.writing), step  # type: ignore[assignment]
        if wait:
            self.finish()

    def poll(self) -> None:
        """Look, without waiting, whether the write is done; to be called at every step. While one runs, the ranks agree on the answer (one number over gloo),
        so that a failure ends all of them at the same step.

        Raises:
            TrainingError: it could not be written; what was written of it is gone, and the checkpoint before stands.
        """
        if self._write is not None and self._processes.all(self._write.done()):
            self.finish()

    def finish(self) -> None:
        """Wait for the write, if there is one.

        Raises:
            TrainingError: as ``poll``.
        """
        if self._write is None:
            return
        problem = self._write.exception()
        self._write = None
        if problem is not None:
            unfinished = self._unfinished(self._step)
            if self._processes.main:
                shutil.rmtree(unfinished, ignore_errors=True)
            raise TrainingError(self._sentence(_cause(problem))) from problem

    def newest(self) -> Path | None:
        """The finished one of the highest step, as rank 0 sees it."""
        return self._processes.from_main(newest_in(self.folder) if self._processes.main else None)

    def load(self, path: Path, state: dict[str, Any]) -> None:
        """Read a checkpoint, on any number of ranks.

        Args:
            path: its folder.
            state: as in ``save``, with tensors in place, into which is read; of what the checkpoint has, what is not asked for here is not read. Plain values
                are replaced, ``state["progress"]`` is added.

        Raises:
            TrainingError: it is damaged, or not of this network and optimizer.
        """
        about = read_about(path)
        self.finish()
        try:
            reader = FileSystemReader(path)
            reader.read_metadata()  # here, for torch would go on to look for another file, and tell of that
        except Exception as error:  # a pickle that is cut off has many
            raise TrainingError(_damaged(path, error)) from error
        try:
            load(state, storage_reader=reader, process_group=self._processes.control)
        except CheckpointException as error:
            cause = _cause(error)
            if error.args[0] == "plan" and isinstance(cause, RuntimeError | ValueError):
                raise TrainingError(f"{path} is of another network or optimizer ({cause}); go on with the options that it was trained with") from error
            raise TrainingError(_damaged(path, cause)) from error
        state[PROGRESS] = about[PROGRESS]

    def _unfinished(self, step: int) -> Path:
        return self.folder / f".{name_of(step)}.unfinished"

    def _clear(self) -> str | None:
        """Why the folder cannot be written to, if so."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(".step-*"):
                shutil.rmtree(leftover)
        except OSError as error:
            return error.strerror or str(error)
        return None if os.access(self.folder, os.W_OK | os.X_OK) else "permission denied"

    def _sentence(self, cause: BaseException) -> str:
        """What is said when a checkpoint could not be written."""
        before = newest_in(self.folder)
        stands = "no checkpoint is there yet, so the training begins anew" if before is None else f"{before} stands, and the training goes on from there"
        where = f"the checkpoint of step {self._step} could not be written to {self.folder}"
        if isinstance(cause, OSError) and cause.errno in _FULL:
            most = f"it has to hold {self.keep} checkpoints, and one more while that is written"
            return f"{where}: no room is left ({cause.strerror}); {most}. {stands}: make room, or lower --checkpoint.keep, and run the same command again"
        return f"{where} ({' '.join(str(cause).split())[:300]}). {stands}: mend that and run the same command again"


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
        raise TrainingError(_damaged(path, error)) from error
    return about


class _Writer(FileSystemWriter):
    """Writes into a folder that is renamed once it is whole. With one file and one thread per rank: of several threads torch swallows the errors."""

    def __init__(self, unfinished: Path, final: Path, about: Mapping[str, Any], keep: int) -> None:
        super().__init__(unfinished)
        self._unfinished, self._final, self._about, self._keep = unfinished, final, about, keep

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> TorchFuture[list[WriteResult]]:
        """Called on every rank, in its writing thread. Errors go to all ranks as pickles, which lose what is behind them: behind torch's own, the system's."""
        try:
            return super().write_data(plan, planner)
        except Exception as error:
            raise _system_error(error) from error

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Called on rank 0, in its writing thread, when all ranks have written; what is raised here is raised by all of them."""
        super().finish(metadata, results)
        with (self._unfinished / ABOUT).open("w") as file:
            json.dump(self._about, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        _sync(self._unfinished)
        self._unfinished.rename(self._final)
        _sync(self._final.parent)
        _prune(self._final.parent, self._keep)


def _prune(folder: Path, keep: int) -> None:
    """Remove all but the newest; each is first no checkpoint any more, then gone."""
    for path in list(checkpoints_in(folder).values())[:-keep]:
        try:
            shutil.rmtree(path.rename(path.with_name(f".{path.name}.removed")))
        except OSError as error:
            log.warning("%s is not needed any more, but cannot be removed (%s)", path, error.strerror)


def _whole(path: Path) -> bool:
    return (path / _METADATA).is_file() and (path / ABOUT).is_file()


def _sync(folder: Path) -> None:
    """Make names in a folder survive a loss of power, where the file system knows of that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cause(error: BaseException) -> BaseException:
    """What went wrong, on the first rank where something did."""
    return next(iter(error.failures.values()))[0] if isinstance(error, CheckpointException) else error


def _system_error(error: BaseException) -> BaseException:
    """The system's own error, where one is behind this."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, OSError):
        behind = behind.__cause__ or behind.__context__
    return behind or error


def _damaged(path: Path, cause: BaseException) -> str:
    return f"{path} is damaged ({' '.join(str(cause).split())[:300]}); remove that folder, and the training goes on from the checkpoint before it"
