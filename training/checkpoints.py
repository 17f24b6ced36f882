"""Saving a training beside the training, and going on from what was saved.

The ranks copy what is to be saved and go on, and a thread of each writes the copy. When all of them have written, rank 0 gives the folder its name, which is
what makes it a checkpoint (``training.checkpoint_writer``). So there is a whole one at any time, wherever the training is cut off.
"""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import async_save

from training.checkpoint_folder import FOLDER, PROGRESS, cause_of, checkpoints_in, damaged, name_of, newest_in, read_about
from training.checkpoint_writer import CheckpointWriter
from training.errors import TrainingError
from training.processes import Processes

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Checkpoints:
    """The checkpoints of a training, and the one that is being written: never more than one.

    All methods are for all ranks together, at the same step. As a context manager it lets the last write come to its end, inside the process group's.

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
        if self._processes.from_main(step in checkpoints_in(self.folder)):
            return
        about = {"step": step, PROGRESS: state.get(PROGRESS, {}), "torch": str(torch.__version__), "ranks": self._processes.ranks}
        writer = CheckpointWriter(self._unfinished(step), self.folder / name_of(step), json.dumps(about, indent=2), self.keep)
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
            raise TrainingError(self._sentence(cause_of(problem))) from problem

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Whatever ends the training, a write that is under way comes to its end; its own failure is told when there is nothing else to tell."""
        if kind is None:
            self.finish()
        elif self._write is not None:
            self._write.exception()

    def newest(self) -> Path | None:
        """The finished one of the highest step, as rank 0 sees it."""
        return self._processes.from_main(newest_in(self.folder) if self._processes.main else None)

    def load(self, path: Path, state: dict[str, Any]) -> None:
        """Read a checkpoint, on any number of ranks.

        Args:
            path: its folder.
            state: as in ``save``, with tensors in place, into which is read; of what the checkpoint has, what is not asked for here is not read. Plain values
                and ``state["progress"]`` are replaced.

        Raises:
            TrainingError: it is damaged, or not of this network and optimizer.
        """
        about = read_about(path)
        self.finish()
        state.pop(PROGRESS, None)
        try:
            reader = FileSystemReader(path)
            reader.read_metadata()  # here, for torch would go on to look for another file, and tell of that
        except Exception as error:  # a pickle that is cut off has many
            raise TrainingError(damaged(path, error)) from error
        try:
            load(state, storage_reader=reader, process_group=self._processes.control)
        except CheckpointException as error:
            cause = cause_of(error)
            if error.args[0] == "plan" and isinstance(cause, RuntimeError | ValueError):
                raise TrainingError(f"{path} is of another network or optimizer ({cause}); go on with the options that it was trained with") from error
            raise TrainingError(damaged(path, cause)) from error
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
