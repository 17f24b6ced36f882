"""Model weights and sample media by name: where they come from, what they must hash to, and a verified local copy of each.

    fetch("yunet") -> Path

looks in the folder named by GLORIA_ASSETS (read only, for clusters without a network), then in the cache (GLORIA_CACHE, else
``gloria-anchors`` in the user's cache folder), then asks the asset's sources in order. Whatever the source, the bytes must
have the registered SHA-256. Nothing is downloaded at import, and nothing twice: one download of a package fills the cache
with every registered file in it, and processes that ask at the same time wait for one another.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from pipeline.asset_registry import ASSETS, Asset
from pipeline.asset_sources import Source, SourceError
from pipeline.failures import InputError
from schemas.vocabulary import FailureKind

CACHE_VARIABLE = "GLORIA_CACHE"
FOLDER_VARIABLE = "GLORIA_ASSETS"

__all__ = ["ASSETS", "Asset", "AssetError", "cache_folder", "cached_path", "fetch", "rows"]

log = logging.getLogger(__name__)


class AssetError(InputError):
    """An asset cannot be had; the message lists every source, why it failed, and where to put the file by hand."""


def cache_folder() -> Path:
    """Where fetched assets are kept."""
    if folder := os.environ.get(CACHE_VARIABLE):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "gloria-anchors"


def cached_path(name: str) -> Path | None:
    """The verified local copy of an asset, or None when there is none yet. Downloads nothing.

    Raises:
        AssetError: there is no asset of that name.
    """
    asset = _asset(name)
    return next((path for path in _places(asset) if _problem(asset, path) is None), None)


def fetch(name: str) -> Path:
    """A verified local copy of an asset, downloaded when there is none yet.

    Raises:
        AssetError: no asset has that name, or no source has the file with the registered hash.
    """
    if path := cached_path(name):
        return path
    asset, folder = _asset(name), cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "fetch.lock"):
            # another process may have brought it while this one waited
            return cached_path(name) or _download(asset, folder)
    except OSError as error:
        raise AssetError(FailureKind.STORAGE, f"asset {name!r}: cannot use the cache folder {folder} ({error}); set {CACHE_VARIABLE} to another one") from error


def _asset(name: str) -> Asset:
    try:
        return ASSETS[name]
    except KeyError:
        raise AssetError(FailureKind.NOT_FOUND, f"there is no asset {name!r}; the names are {', '.join(ASSETS)}") from None


def _places(asset: Asset) -> Iterator[Path]:
    if folder := os.environ.get(FOLDER_VARIABLE):
        yield Path(folder).expanduser() / asset.file_name
    yield cache_folder() / asset.file_name


_verified: dict[Path, tuple[str, int, int]] = {}
"""(hash, size, modification time) of files that this process has hashed: a file is read in full once, then only looked at."""


def _problem(asset: Asset, path: Path) -> str | None:
    try:
        status = path.stat()
        if status.st_size != asset.size_bytes:
            return f"it has {status.st_size} bytes, not {asset.size_bytes}"
        seen = (asset.sha256, status.st_size, status.st_mtime_ns)
        if _verified.get(path) != seen:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != asset.sha256:
                log.warning("%s is damaged (sha256 %s, expected %s)", path, digest, asset.sha256)
                return f"its sha256 is {digest}, not {asset.sha256}"
            _verified[path] = seen
    except OSError as error:
        return error.strerror or str(error)
    return None


def _download(asset: Asset, folder: Path) -> Path:
    problems = [f"{path}: {_problem(asset, path)}" for path in _places(asset)]
    for source in asset.sources:
        log.info("fetching %s (%.1f MB) from %s", asset.name, asset.size_bytes / 1e6, source.origin)
        try:
            return _install_all(asset, source, folder)
        except SourceError as error:
            log.warning("%s: %s", source.origin, error)
            problems.append(f"{source.origin}: {error}")
    tried = "\n".join(f"  - {problem}" for problem in problems)
    by_hand = f"Put the file (sha256 {asset.sha256}) at {folder / asset.file_name}, or in a folder that {FOLDER_VARIABLE} names."
    raise AssetError(FailureKind.MISSING_DEPENDENCY, f"asset {asset.name!r} cannot be had. Tried:\n{tried}\n{by_hand}")


def _install_all(asset: Asset, source: Source, folder: Path) -> Path:
    """Download a source once and install the asset, and with it every other asset that comes in the same download."""
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as temporary:
        downloaded = source.download(Path(temporary))
        installed = _install(asset, source, downloaded, folder)
        for other in ASSETS.values():
            for twin in other.sources:
                if twin.origin == source.origin and other != asset and cached_path(other.name) is None:
                    try:
                        _install(other, twin, downloaded, folder)
                    except SourceError as error:
                        log.warning("%s: %s", twin.origin, error)
    return installed


def _install(asset: Asset, source: Source, downloaded: Path, folder: Path) -> Path:
    """Put an asset into the cache: extracted under a temporary name, verified there, then renamed."""
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder) as temporary:
        partial, target = Path(temporary) / asset.file_name, folder / asset.file_name
        source.extract(downloaded, partial)
        if problem := _problem(asset, partial):
            raise SourceError(f"the file for {asset.name!r} is another one: {problem}")
        partial.replace(target)
    return target


def rows() -> list[dict[str, str]]:
    """The assets as a table for people: name, megabytes, licence, purpose, sources, and where its verified copy is (empty: not fetched)."""
    return [
        {
            "name": asset.name,
            "megabytes": f"{asset.size_bytes / 1e6:.1f}",
            "licence": asset.licence,
            "purpose": asset.purpose,
            "sources": "; ".join(source.origin for source in asset.sources),
            "cached": str(cached_path(asset.name) or ""),
        }
        for asset in ASSETS.values()
    ]
