"""Files anywhere: local paths and any fsspec URL, with writes that are seen whole or not at all.

A URI is a local path, ``file://…`` or any URL that fsspec knows (``s3://``, ``gs://``, ``https://``, ``memory://`` …). Errors of
the storage are raised as InputError and name the URI. ``memory://`` lives in one process: it is for tests, not for Ray workers.
"""

import glob
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

import fsspec
from fsspec.spec import AbstractFileSystem

from pipeline.failures import InputError
from schemas.vocabulary import FailureKind

TEMPORARY = ".gloria-partial"
"""Suffix of the hidden names that files are written under before they are renamed."""

Content = bytes | Callable[[BinaryIO], object]
"""What to write: the bytes, or a function that writes them into a seekable binary file."""


def local_path(uri: str | Path) -> Path | None:
    """The path of a local URI, or None when it lies elsewhere."""
    if isinstance(uri, Path):
        return uri
    if uri.startswith(("file://", "local://")):
        return Path(uri.split("://", 1)[1])
    return None if "://" in uri or "::" in uri else Path(uri).expanduser()


def absolute(uri: str) -> str:
    """The URI with a local path made absolute, so that it means the same in every process; a URL is left as it is."""
    path = local_path(uri)
    return uri if path is None else str(path.absolute())


def join(folder: str, *names: str) -> str:
    """A URI below a folder."""
    below = "/".join(name.strip("/") for name in names)
    return folder + below if folder.endswith("://") else f"{folder.rstrip('/')}/{below}"


def file_name(uri: str) -> str:
    """The last part of a URI, without a URL's query."""
    return uri.partition("?")[0].rstrip("/").rpartition("/")[2] if "://" in uri else Path(uri).name


def open_read(uri: str) -> BinaryIO:
    """Open for reading bytes; seekable. Close it, or use it as a context manager.

    Raises:
        InputError: NOT_FOUND, NO_PERMISSION, MISSING_DEPENDENCY (the URL's file system is not installed) or STORAGE.
    """
    with _typed(uri):
        if (path := local_path(uri)) is not None:
            return path.open("rb")
        fs, remote = _remote(uri)
        return cast(BinaryIO, fs.open(remote, "rb"))


def read_bytes(uri: str) -> bytes:
    """The whole content; raises as open_read."""
    with _typed(uri), open_read(uri) as file:
        return file.read()


def write_atomic(uri: str, content: Content) -> None:
    """Write a file so that readers see the old content or the new one, never a part of it; folders are made.

    Locally: a temporary name in the same folder, fsync, rename. Elsewhere: collected in a local temporary file and put as one
    object, which object stores make visible as a whole.

    Args:
        uri: where to.
        content: bytes, or a function that is given a seekable binary file. When it raises, nothing is written.

    Raises:
        InputError: NO_PERMISSION, MISSING_DEPENDENCY or STORAGE.
    """
    path = local_path(uri)
    if path is not None:
        _write_local(path, content)
    elif isinstance(content, bytes):
        with _typed(uri):
            fs, remote = _remote(uri)
            fs.pipe_file(remote, content)
    else:
        with tempfile.NamedTemporaryFile(suffix=TEMPORARY) as file:
            content(cast(BinaryIO, file))
            file.flush()
            with _typed(uri):
                fs, remote = _remote(uri)
                fs.put_file(file.name, remote)


def exists(uri: str) -> bool:
    """Whether there is a file or folder; raises InputError when the storage cannot tell."""
    with _typed(uri):
        if (path := local_path(uri)) is not None:
            return path.exists()
        fs, remote = _remote(uri)
        return bool(fs.exists(remote))


def is_folder(uri: str) -> bool:
    """Whether it is a folder; raises InputError when the storage cannot tell."""
    with _typed(uri):
        if (path := local_path(uri)) is not None:
            return path.is_dir()
        fs, remote = _remote(uri)
        return bool(fs.isdir(remote))


def size(uri: str) -> int:
    """Size of a file in bytes; raises as open_read."""
    with _typed(uri):
        if (path := local_path(uri)) is not None:
            return path.stat().st_size
        fs, remote = _remote(uri)
        return int(fs.size(remote))


def list_files(folder: str, suffix: str | tuple[str, ...] = "", recursive: bool = False) -> list[str]:
    """URIs of the files in a folder, sorted; hidden ones (a leading dot) are left out. A folder that is not there has none.

    Args:
        folder: path or URL.
        suffix: only names that end in it (or one of them), for example ``.parquet``.
        recursive: also those in folders below.
    """
    with _typed(folder):
        path = local_path(folder)
        names = _local_names(path, recursive) if path is not None else _remote_names(folder, recursive)
    visible = (name for name in names if not any(part.startswith(".") for part in name.split("/")))
    return sorted(join(folder, name) for name in visible if name.endswith(suffix))


def expand(pattern: str) -> list[str]:
    """The files that match a glob (``*``, ``?``, ``[…]``, ``**``), sorted; a URI without such characters is given back as it is."""
    if pattern.startswith(("http://", "https://")):  # its ? begins a query
        return [pattern]
    if not glob.has_magic(pattern) or (local_path(pattern) is not None and exists(pattern)):
        return [pattern]
    with _typed(pattern):
        if (path := local_path(pattern)) is not None:
            return sorted(name for name in glob.glob(str(path), recursive=True) if not os.path.isdir(name))  # noqa: PTH207, PTH112 - absolute patterns
        fs, remote = _remote(pattern)
        return sorted(str(fs.unstrip_protocol(name)) for name in fs.glob(remote) if not fs.isdir(name))


def remove(uri: str) -> None:
    """Remove a file; one that is not there is fine."""
    with _typed(uri):
        if (path := local_path(uri)) is not None:
            path.unlink(missing_ok=True)
            return
        fs, remote = _remote(uri)
        try:
            fs.rm_file(remote)
        except FileNotFoundError:
            return


def remove_leftovers(folder: str) -> int:
    """Remove what killed writers left below a folder; gives the number of files. Object stores keep no half-written objects."""
    path = local_path(folder)
    leftovers = [] if path is None else list(path.rglob(f".*{TEMPORARY}"))
    for leftover in leftovers:
        leftover.unlink(missing_ok=True)
    return len(leftovers)


def _write_local(path: Path, content: Content) -> None:
    temporary = path.with_name(f".{path.name[:100]}.{uuid4().hex[:12]}{TEMPORARY}")
    with _typed(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("xb")
    try:
        with file:
            if isinstance(content, bytes):
                file.write(content)
            else:
                content(cast(BinaryIO, file))
            file.flush()
            os.fsync(file.fileno())
        with _typed(str(path)):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _local_names(folder: Path, recursive: bool) -> Iterator[str]:
    if not folder.is_dir():
        return
    found = folder.rglob("*") if recursive else folder.iterdir()
    yield from (path.relative_to(folder).as_posix() for path in found if path.is_file())


def _remote_names(folder: str, recursive: bool) -> Iterator[str]:
    fs, remote = _remote(folder)
    root = remote.rstrip("/")
    found = fs.find(root, maxdepth=None if recursive else 1)
    yield from (name[len(root) :].lstrip("/") for name in found if name != root)


def _remote(uri: str) -> tuple[AbstractFileSystem, str]:
    fs, path = fsspec.core.url_to_fs(uri)
    fs.invalidate_cache()  # other workers write too: a remembered listing is a wrong one
    return fs, path


@contextmanager
def _typed(uri: str) -> Iterator[None]:
    """Raise what the storage throws as an InputError that names the URI."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(FailureKind.NOT_FOUND, f"{uri}: there is no such file; check the path or URL") from error
    except PermissionError as error:
        raise InputError(FailureKind.NO_PERMISSION, f"{uri}: permission denied; check the file's rights or your credentials ({error})") from error
    except ImportError as error:
        raise InputError(FailureKind.MISSING_DEPENDENCY, f"{uri}: {error}; install the package for this kind of URL (s3fs, gcsfs, aiohttp …)") from error
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except Exception as error:  # every file system has its own errors
        raise InputError(FailureKind.STORAGE, f"{uri}: the storage answered {type(error).__name__}: {error}; try again, or check the URL") from error
