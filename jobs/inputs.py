"""From what the user names to videos: folders, globs and list files expanded, every file identified, copies joined.

The order in which inputs are named has no influence. A name that leads nowhere is a failure of that input, not of the job.
"""

import csv
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipeline import assets, storage
from pipeline.failures import InputError, classify
from pipeline.video.index import video_id
from schemas.vocabulary import FailureKind

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp", ".vob")
"""What is taken for a video in a folder; a file that is named itself may be called anything."""

LIST_SUFFIXES = (".txt", ".csv", ".list")
ASSET = "asset:"
"""Prefix of the name of a sample video that is fetched, see ``python -m jobs assets list``."""

LIST = "@"
"""Prefix of a list file that may be called anything."""

HEADERS = ("url", "uri", "path", "video")
"""What the column of a CSV that holds the names may be called."""

READERS = 16
"""Files that are identified at the same time: each is a megabyte of waiting for the storage."""


@dataclass(frozen=True)
class Inputs:
    """What was found.

    Attributes:
        videos: video_id to URI, by video_id.
        copies: URI to the URI of the same content that is used instead.
        failures: source to what is wrong with it.
        named: every source that was looked at, so that old failures of those that are well now can be cleared.
    """

    videos: dict[str, str]
    copies: dict[str, str] = field(default_factory=dict)
    failures: dict[str, InputError] = field(default_factory=dict)
    named: tuple[str, ...] = ()


def find_inputs(names: Iterable[str]) -> Inputs:
    """Expand names and identify what they lead to.

    Args:
        names: paths and URLs of videos, of folders (all videos in and below them), globs, list files (one name per line; of a CSV the
            column ``url``, ``uri``, ``path`` or ``video``, else the first), ``@file`` for a list file of any name, ``asset:NAME`` for a
            sample video.
    """
    expansion = _Expansion()
    for name in names:
        expansion.add(name)
    return _identify(sorted(expansion.sources), expansion.failures)


def _identify(sources: list[str], failures: dict[str, InputError]) -> Inputs:
    videos: dict[str, str] = {}
    copies: dict[str, str] = {}
    with ThreadPoolExecutor(READERS) as pool:
        identities = list(pool.map(_video_id, sources))
    for source, identity in zip(sources, identities, strict=True):
        if isinstance(identity, InputError):
            failures[source] = identity
        elif identity in videos:
            copies[source] = videos[identity]
        else:
            videos[identity] = source
    return Inputs(dict(sorted(videos.items())), copies, dict(sorted(failures.items())), (*sources, *failures))


def _video_id(source: str) -> str | InputError:
    try:
        return video_id(source)
    except Exception as error:  # whatever is wrong with it, it is the input's and not the job's
        return error if isinstance(error, InputError) else InputError(*classify(error))


@dataclass
class _Expansion:
    """The sources that names stand for, and the names that stand for none."""

    sources: set[str] = field(default_factory=set)
    failures: dict[str, InputError] = field(default_factory=dict)

    def add(self, name: str, listed: tuple[str, ...] = ()) -> None:
        """Expand a name that was found through the list files ``listed``."""
        try:
            if name.startswith(ASSET):
                self.sources.add(str(assets.fetch(name.removeprefix(ASSET))))
            elif name.startswith(LIST):
                self._add_listed(name.removeprefix(LIST), listed)
            elif name.lower().endswith(LIST_SUFFIXES):
                self._add_listed(name, listed)
            else:
                self.sources.update(storage.absolute(uri) for uri in _files(name))
        except InputError as error:
            self.failures[name if name.startswith((ASSET, LIST)) else storage.absolute(name)] = error

    def _add_listed(self, uri: str, listed: tuple[str, ...]) -> None:
        """The sources of a list file. Relative paths in it are relative to its folder, or else to where the command runs."""
        uri = storage.absolute(uri)
        if uri in listed:
            raise InputError(FailureKind.STORAGE, f"{uri}: this list file names itself, by way of {' → '.join(listed)}; take it out of the list")
        names = _names(uri)
        for name in names:
            if name:
                self.add(_beside(name, uri), (*listed, uri))
        if not any(names):
            raise InputError(FailureKind.NOT_FOUND, f"{uri}: this list names no video; write one path or URL per line")
        if without := [str(number) for number, name in enumerate(names, 1) if not name]:
            raise InputError(FailureKind.NOT_FOUND, f"{uri}: nothing is named in entry {', '.join(without)}; complete the row, or take it out")


def _files(name: str) -> list[str]:
    """The files of a folder or glob, or the one that is named; the storage is asked only where the name leaves it open."""
    if name.startswith(("http://", "https://")) or (name.lower().endswith(VIDEO_SUFFIXES) and not any(sign in name for sign in "*?[")):
        return [name]
    if storage.is_folder(name):
        return [uri for uri in storage.list_files(name, recursive=True) if uri.lower().endswith(VIDEO_SUFFIXES)]
    if found := storage.expand(name):
        return found
    raise InputError(FailureKind.NOT_FOUND, f"{name}: no file matches; check the pattern")


def _names(uri: str) -> list[str]:
    """What a list file names, entry by entry; an empty word where a row of a CSV has nothing in its column."""
    try:
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(FailureKind.UNSUPPORTED, f"{uri}: this list is not UTF-8 text ({error}); save it as UTF-8") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    return _column(uri, lines) if uri.lower().endswith(".csv") else lines


def _column(uri: str, lines: list[str]) -> list[str]:
    """The column of a CSV that holds names: the first, unless a header says which."""
    try:
        rows = list(csv.reader(lines))
    except csv.Error as error:
        raise InputError(FailureKind.DAMAGED, f"{uri}: this list is not CSV ({error}); write one name per line") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = next((number for number, cell in enumerate(header) if cell in HEADERS), None)
    if column is not None:
        rows = rows[1:]
    return [row[column or 0].strip() if len(row) > (column or 0) else "" for row in rows]


def _beside(name: str, list_uri: str) -> str:
    folder = storage.local_path(list_uri)
    path = None if name.startswith((ASSET, LIST)) else storage.local_path(name)
    if folder is None or path is None or path.is_absolute() or Path(name).exists():
        return name
    return str(folder.parent / path)
