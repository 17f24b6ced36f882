"""How a checkpoint gets onto the disk: into a folder that is given its name when it is whole."""

import contextlib
import logging
import os
import shutil
from pathlib import Path

from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from training.checkpoint_folder import ABOUT, checkpoints_in

log = logging.getLogger(__name__)


class CheckpointWriter(FileSystemWriter):
    """Writes into a folder that is renamed once it is whole. With one file and one thread per rank: of several threads torch swallows the errors."""

    def __init__(self, unfinished: Path, final: Path, about: str, keep: int) -> None:
        """Of a checkpoint that is to be ``final``, with training.json saying ``about``, after which the newest so many are to be kept."""
        super().__init__(unfinished)
        self._unfinished, self._final, self._about, self._keep = unfinished, final, about, keep

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """Called on every rank, in its writing thread. Errors go to all ranks as pickles, which lose what is behind them: behind torch's own, the system's."""
        try:
            return super().write_data(plan, planner)
        except Exception as error:
            raise _system_error(error) from error

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Called on rank 0, in its writing thread, when all ranks have written; what is raised here is raised by all of them."""
        super().finish(metadata, results)
        with (self._unfinished / ABOUT).open("w") as file:
            file.write(self._about)
            file.flush()
            os.fsync(file.fileno())
        _sync(self._unfinished)
        if self._final.exists():  # a checkpoint that somebody took a file from
            _remove(self._final)
        self._unfinished.rename(self._final)
        _sync(self._final.parent)
        _prune(self._final.parent, self._keep)


def _prune(folder: Path, keep: int) -> None:
    for path in list(checkpoints_in(folder).values())[:-keep]:
        try:
            _remove(path)
        except OSError as error:
            log.warning("%s is not needed any more, but cannot be removed (%s)", path, error.strerror)


def _remove(path: Path) -> None:
    """Before it goes, it is no checkpoint any more: half of one would be taken for one."""
    shutil.rmtree(path.rename(path.with_name(f".{path.name}.removed")))


def _sync(folder: Path) -> None:
    """Make names in a folder survive a loss of power, where the file system knows of that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _system_error(error: BaseException) -> BaseException:
    """The system's own error, where one is behind this."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, OSError):
        behind = behind.__cause__ or behind.__context__
    return behind or error
