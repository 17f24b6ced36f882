"""Shards that lie elsewhere, kept in a folder on a local disk: fetched once by all processes of a machine, up to a size bound.

A shard is fetched into a hidden name by whoever holds its lock, then renamed. The modification time of a copy is when it was last opened;
where room is needed, the copies go that were not opened for longest. Opening and making room happen under the folder's lock: a copy that is
found is opened before anybody can remove it, and what is open can be read to its end though its name is gone.
"""

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from training.data import storage
from training.errors import TrainingError

DEFAULT_FOLDER = Path("~/.cache/gloria-anchors/shards")
ATTEMPTS = 4
"""To fetch a shard."""
PAUSE_SECONDS = 0.5
"""After the first attempt; doubled with each."""
LOCAL_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What a download ends with when the disk here is at fault: trying again does not help."""

PARTIAL, RESERVED, LOCK = ".partial", ".reserved", ".lock"
"""Suffixes of hidden names."""
FOLDER = "folder"
"""The name under which the whole folder is locked."""


@dataclass(frozen=True, slots=True)
class ShardCache:
    """The folder. Several processes may share it; it can be sent to workers.

    Attributes:
        folder: on a local disk; made when it is needed.
        max_bytes: of all copies together, those included that are being fetched.
    """

    folder: Path
    max_bytes: int

    def open(self, url: str) -> BinaryIO:
        """Open a shard for reading, and fetch it first when it lies elsewhere and there is no copy.

        Raises:
            NotThereError: there is no such shard.
            TrainingError: it cannot be fetched, it is larger than the cache may be, or the folder cannot be written.
        """
        if storage.local_path(url) is not None:
            return storage.open_read(url)
        copy = self.copy_of(url)
        with self._writable():
            while (file := self._open_copy(copy)) is None:
                with self._lock(copy.name):
                    if not copy.exists():
                        self._fetch(url, copy)
            return file

    def fetch(self, url: str) -> Path:
        """The path of a local shard, or of the copy of one that lies elsewhere; raises as ``open``. It may be removed later: to read it, ``open`` it."""
        path = storage.local_path(url)
        self.open(url).close()
        return self.copy_of(url) if path is None else path

    def copy_of(self, url: str) -> Path:
        """Where the copy of a shard is or would be."""
        return self.folder / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{storage.split(url)[1]}"

    def _open_copy(self, copy: Path) -> BinaryIO | None:
        with self._lock(FOLDER):
            try:
                file = copy.open("rb")
            except FileNotFoundError:
                return None
            os.utime(copy)
            return file

    def _fetch(self, url: str, copy: Path) -> None:
        """Fetch a shard; its lock is held."""
        partial, reserved = self._hidden(copy.name, PARTIAL), self._hidden(copy.name, RESERVED)
        try:
            for attempt in range(ATTEMPTS):
                try:
                    self._download(url, partial, reserved)
                    break
                except _FetchError as error:
                    if attempt == ATTEMPTS - 1:
                        raise TrainingError(f"{url} could not be fetched in {ATTEMPTS} attempts: {error}; try again, or check the URL") from error
                    time.sleep(PAUSE_SECONDS * 2**attempt)
            partial.replace(copy)
        finally:
            partial.unlink(missing_ok=True)
            reserved.unlink(missing_ok=True)

    def _download(self, url: str, partial: Path, reserved: Path) -> None:
        try:
            with storage.sentences(url):
                size = storage.size(url)
                self._make_room(url, reserved, size)
                file_system, path = storage.remote(url)
                file_system.get_file(path, str(partial))
        except storage.StorageError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in LOCAL_TROUBLE:
                raise error.__cause__ from error
            raise _FetchError(str(error)) from error
        if (done := partial.stat().st_size) != size:
            raise _FetchError(f"{done} of {size} bytes came")

    def _make_room(self, url: str, reserved: Path, size: int) -> None:
        """Remove copies until there is room, and reserve it with an empty file of that size, for others to count."""
        if size > self.max_bytes:
            raise TrainingError(f"{url} has {size / 1e9:.3g} GB, the cache {self.folder} may have {self.max_bytes / 1e9:.3g}: raise data.cache-gigabytes")
        with self._lock(FOLDER):
            self._remove_abandoned(reserved)
            copies = sorted(((path.stat(), path) for path in self._copies()), key=lambda each: (each[0].st_mtime_ns, each[1].name))
            used = sum(status.st_size for status, _ in copies) + sum(path.stat().st_size for path in self._reservations() if path != reserved)
            for status, path in copies:
                if used + size <= self.max_bytes:
                    break
                path.unlink()
                used -= status.st_size
            with reserved.open("wb") as file:
                file.truncate(size)

    def _copies(self) -> Iterator[Path]:
        return (path for path in self.folder.iterdir() if not path.name.startswith("."))

    def _reservations(self) -> list[Path]:
        return list(self.folder.glob(f".*{RESERVED}"))

    def _remove_abandoned(self, own: Path) -> None:
        """Remove what processes left behind that were killed while they fetched: nobody holds its lock."""
        for reserved in self._reservations():
            name = reserved.name.removeprefix(".").removesuffix(RESERVED)
            if reserved == own:
                continue
            try:
                with self._lock(name, timeout=0):
                    self._hidden(name, PARTIAL).unlink(missing_ok=True)
                    reserved.unlink(missing_ok=True)
            except Timeout:
                continue

    def _hidden(self, name: str, suffix: str) -> Path:
        return self.folder / f".{name}{suffix}"

    def _lock(self, name: str, timeout: float = -1) -> FileLock:
        return FileLock(self._hidden(name, LOCK), timeout=timeout)

    @contextmanager
    def _writable(self) -> Iterator[None]:
        """Raise what goes wrong with the folder as a sentence."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except TrainingError:
            raise
        except OSError as error:
            raise TrainingError(f"the shard cache {self.folder} cannot be used ({error.strerror or error}); choose a folder with --data.cache") from error


class _FetchError(OSError):
    """The storage failed in the middle; it may not the next time."""
