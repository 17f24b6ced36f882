"""Sources on packages made here: pip works offline from a folder of wheels, as it does through a mirror."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from pipeline.asset_sources import Address, LocalFile, NpmFile, PipFile, Source, SourceError


def make_wheel(folder: Path, name: str = "sample_weights", version: str = "1.2", members: dict[str, bytes] | None = None, python: str = ">=3.8") -> Path:
    """A wheel of data files, as pip accepts it."""
    folder.mkdir(parents=True, exist_ok=True)
    path, information = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in (members or {"sample_weights/a.bin": b"alpha"}).items():
            archive.writestr(member, content)
        archive.writestr(f"{information}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: {python}\n")
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return path


@pytest.fixture
def offline_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all pip can see."""
    wheels = tmp_path / "wheels"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return wheels


def obtain(source: Source, folder: Path) -> bytes:
    (folder / "in").mkdir()
    target = folder / "out"
    source.extract(source.download(folder / "in"), target)
    return target.read_bytes()


def test_pip_brings_a_wheel_even_for_another_python(tmp_path: Path, offline_pip: Path) -> None:
    make_wheel(offline_pip, python="<3.0")
    assert obtain(PipFile("sample_weights", "1.2", "sample_weights/a.bin"), tmp_path) == b"alpha"


def test_what_pip_says_is_in_the_error(tmp_path: Path, offline_pip: Path) -> None:
    make_wheel(offline_pip)
    with pytest.raises(SourceError, match=r"sample_weights==7\.0"):
        PipFile("sample_weights", "7.0", "a.bin").download(tmp_path)


def test_missing_pip_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SourceError, match="ensurepip"):
        PipFile("sample_weights", "1.2", "a.bin").download(tmp_path)


def test_missing_member_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"b\.bin"):
        PipFile("sample_weights", "1.2", "sample_weights/b.bin").extract(make_wheel(tmp_path), tmp_path / "out")


def test_npm_member_is_found_below_package(tmp_path: Path) -> None:
    archive = tmp_path / "sample-1.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo("package/model/a.bin")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"alpha"))
    NpmFile("sample", "1.0", "model/a.bin").extract(archive, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"alpha"
    with pytest.raises(SourceError, match=r"b\.bin"):
        NpmFile("sample", "1.0", "model/b.bin").extract(archive, tmp_path / "out")


def test_missing_npm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="npm"):
        NpmFile("sample", "1.0", "a.bin").download(tmp_path)


def test_address_and_local_file(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"alpha")
    sources: list[Address | LocalFile] = [Address((tmp_path / "a.bin").as_uri()), LocalFile(str(tmp_path / "a.bin"))]
    for number, source in enumerate(sources):
        (tmp_path / str(number)).mkdir()
        assert obtain(source, tmp_path / str(number)) == b"alpha"
    for absent in (Address((tmp_path / "b.bin").as_uri()), LocalFile(str(tmp_path / "b.bin"))):
        with pytest.raises(SourceError):
            absent.download(tmp_path)
