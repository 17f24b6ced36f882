"""Files to train from, wherever they lie: local paths and any fsspec URL. What the storage throws becomes a sentence that names the file."""

import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

import fsspec
from fsspec.spec import AbstractFileSystem

from training.errors import TrainingError

BLOCK = 8 << 20
"""Bytes that are asked for at once of what lies elsewhere."""


class NotThereError(TrainingError):
    """There is no such file."""


class StorageError(TrainingError):
    """The storage failed; it may not the next time."""


def local_path(url: str) -> Path | None:
    """The path of a local URL, or None when it lies elsewhere."""
    if url.startswith(("file://", "local://")):
        return Path(url.split("://", 1)[1])
    return None if "://" in url or "::" in url else Path(url).expanduser()


def absolute(url: str) -> str:
    """The URL with a local path made absolute; another is left as it is."""
    path = local_path(url)
    return url if path is None else str(path.absolute())


def is_absolute(url: str) -> bool:
    """Whether it means the same wherever it is said: an absolute path, or a URL."""
    path = local_path(url)
    return path is None or path.is_absolute()


def join(folder: str, name: str) -> str:
    """A URL in a folder."""
    return folder + name if folder.endswith("://") else f"{folder.rstrip('/')}/{name}"


def split(url: str) -> tuple[str, str]:
    """Folder and name of a file."""
    folder, slash, name = url.partition("?")[0].rpartition("/")
    return (folder or slash or "."), name


def remote(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, and the path there."""
    file_system, path = fsspec.core.url_to_fs(url)
    return file_system, path


def read_bytes(url: str) -> bytes:
    """The whole content.

    Raises:
        NotThereError: there is no such file.
        TrainingError: it cannot be read.
    """
    with sentences(url):
        if (path := local_path(url)) is not None:
            return path.read_bytes()
        file_system, remote_path = remote(url)
        return bytes(file_system.cat_file(remote_path))


def open_read(url: str) -> BinaryIO:
    """Open for reading bytes; seekable.

    Raises:
        NotThereError: there is no such file.
        TrainingError: it cannot be opened.
    """
    with sentences(url):
        if (path := local_path(url)) is not None:
            return path.open("rb")
        file_system, remote_path = remote(url)
        return cast(BinaryIO, file_system.open(remote_path, "rb", block_size=BLOCK))


def size(url: str) -> int:
    """Bytes of a file; raises as ``open_read``."""
    with sentences(url):
        if (path := local_path(url)) is not None:
            return path.stat().st_size
        file_system, remote_path = remote(url)
        found = file_system.size(remote_path)
    if found is None:
        raise TrainingError(f"{url}: the server does not say how large it is; copy the shards to a disk, or to a server that does")
    return int(found)


def exists(url: str) -> bool:
    """Whether there is a file or folder; raises as ``open_read``."""
    with sentences(url):
        if (path := local_path(url)) is not None:
            return path.exists()
        file_system, remote_path = remote(url)
        return bool(file_system.exists(remote_path))


def write_bytes(url: str, content: bytes) -> None:
    """Write a file so that readers see all of it or nothing.

    Raises:
        TrainingError: it cannot be written.
    """
    with sentences(url):
        if (path := local_path(url)) is None:
            file_system, remote_path = remote(url)
            file_system.pipe_file(remote_path, content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid4().hex[:12]}.partial")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def list_files(folder: str, suffix: str) -> list[str]:
    """URLs of the files in a folder whose names end in the suffix, sorted."""
    with sentences(folder):
        if (path := local_path(folder)) is not None:
            return sorted(str(each) for each in path.iterdir() if each.is_file() and each.name.endswith(suffix))
        file_system, remote_path = remote(folder)
        return sorted(join(folder, name.rpartition("/")[2]) for name in file_system.ls(remote_path, detail=False) if name.endswith(suffix))


def expand(pattern: str) -> list[str]:
    """The files that match a glob, sorted; a URL without ``*``, ``?`` and ``[`` is given back as it is."""
    if not glob.has_magic(pattern) or pattern.startswith(("http://", "https://")):  # there, a ? begins a query
        return [pattern]
    with sentences(pattern):
        if (path := local_path(pattern)) is not None:
            return sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - absolute patterns
        file_system, remote_path = remote(pattern)
        return sorted(str(file_system.unstrip_protocol(name)) for name in file_system.glob(remote_path))


@contextmanager
def sentences(url: str) -> Iterator[None]:
    """Raise what the storage throws as a TrainingError that names the URL."""
    try:
        yield
    except TrainingError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotThereError(f"{url}: there is no such file; check the path or URL") from error
    except PermissionError as error:
        raise TrainingError(f"{url}: permission denied; check the file's rights or your credentials ({error})") from error
    except ImportError as error:
        raise TrainingError(f"{url}: {error}; install the package for this kind of URL (s3fs, gcsfs, aiohttp …)") from error
    except Exception as error:  # every file system has its own errors
        raise StorageError(f"{url}: the storage answered {type(error).__name__}: {error}; try again, or check the URL") from error
