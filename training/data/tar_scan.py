"""A webdataset tar read once from end to end: its samples, each with its bytes and where they lie.

The files of a sample follow one another; a file's name up to the first dot behind its last slash is the key, the rest is what the file is.
"""

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from schemas.sample import SampleError

_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)")
_OF_WEBDATASET = re.compile(r"(?:.*/)?__[^/]*__")
"""Files that webdataset keeps for itself."""


@dataclass(frozen=True, slots=True)
class TarSample:
    """A sample, and where it lies.

    Attributes:
        key: of the sample.
        offset: of the first header of its first member.
        end: of its last member, padding included.
        contents: by the members' names without the key, in the order of the tar.
        offsets: of each member's content, in the same order.
        repeated: the file whose name is there twice, so that webdataset would not know which; of these the first is in ``contents``.
    """

    key: str
    offset: int
    end: int
    contents: dict[str, bytes]
    offsets: dict[str, int]
    repeated: str | None = None


def scan(file: BinaryIO) -> Iterator[TarSample]:
    """The samples of a tar in passing; one is in memory at a time.

    Raises:
        SampleError: the tar is compressed, none at all, or cut off. What came before is whole, the rest is lost.
    """
    sample: TarSample | None = None
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                if not info.isreg() or _OF_WEBDATASET.fullmatch(info.name) or not (name := _NAME.fullmatch(info.name)):
                    continue
                key, member = name[1], name[2].lower()
                if sample is None or sample.key != key:
                    if sample is not None:
                        yield sample
                    sample = TarSample(key, info.offset, 0, {}, {})
                sample = replace(sample, repeated=info.name) if member in sample.contents else _with(sample, member, info, archive)
            _check_end(file, archive.offset)
    except tarfile.TarError as error:
        lost = f"everything from {sample.key} on" if sample is not None else "everything"
        raise SampleError(f"{lost} is missing: it is no tar, compressed, damaged or cut off ({error}); unpack it, or copy it again") from error
    if sample is not None:
        yield sample


def _check_end(file: BinaryIO, end: int) -> None:
    """A damaged header in the middle ends the archive for ``tarfile``, without a word."""
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
        raise tarfile.ReadError(f"byte {end} begins no member")


def _with(sample: TarSample, member: str, info: tarfile.TarInfo, archive: tarfile.TarFile) -> TarSample:
    """The sample, and one member more."""
    reader = archive.extractfile(info)
    content = b"" if reader is None else reader.read()
    if len(content) < info.size:
        raise tarfile.ReadError(f"{info.name} has {len(content)} of {info.size} bytes")
    end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return replace(sample, end=end, contents=sample.contents | {member: content}, offsets=sample.offsets | {member: info.offset_data})
