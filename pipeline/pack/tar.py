"""A sample as a piece of a tar: the headers, contents and padding of its members, without the archive's end.

Pieces one behind the other, and the end, are a tar; a shard is made by copying bytes. Headers are those of POSIX.1-1988 (ustar), 512
bytes each, and the same for the same sample: no owner, no time.
"""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from schemas.sample import JSON, SampleError, SampleMetadata, member_name, metadata_from_json

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
"""What closes an archive: two empty blocks."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a sample's members lie in its piece.

    Attributes:
        names: without the key.
        offsets: of each member's content, from the start of the piece.
        sizes: of each member's content.
    """

    names: tuple[str, ...]
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of the piece."""
        return self.offsets[-1] + _padded(self.sizes[-1])


def layout(sizes: Mapping[str, int]) -> Layout:
    """The layout of members with these sizes, in this order."""
    offsets, end = [], 0
    for size in sizes.values():
        offsets.append(end + BLOCK)
        end += BLOCK + _padded(size)
    return Layout(tuple(sizes), tuple(offsets), tuple(sizes.values()))


def write_piece(file: BinaryIO, key: str, members: Mapping[str, bytes]) -> None:
    """Write a sample's piece.

    Args:
        file: opened for writing bytes.
        key: the sample's key.
        members: names without the key, to contents, in the order they are written.
    """
    for name, content in members.items():
        info = tarfile.TarInfo(member_name(key, name))
        info.size, info.mode = len(content), 0o644
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.write(content)
        file.write(bytes(_padded(len(content)) - len(content)))


def read_piece(file: BinaryIO, key: str) -> tuple[SampleMetadata, Layout]:
    """What a piece holds, from its headers and its JSON alone.

    Args:
        file: opened for reading at the start of the piece; seekable.
        key: the key of its sample.

    Raises:
        SampleError: it is not a piece of that sample.
    """
    sizes: dict[str, int] = {}
    metadata = None
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                name = info.name.removeprefix(f"{key}.")
                if name == info.name:
                    raise SampleError(f"{key}: the member {info.name!r} belongs to another sample")
                sizes[name] = info.size
                if name == JSON and (content := archive.extractfile(info)) is not None:
                    metadata = metadata_from_json(key, content.read())
    except tarfile.TarError as error:
        raise SampleError(f"{key}: not a piece of a tar: {error}") from error
    if metadata is None:
        raise SampleError(f"{key}: has no {key}.{JSON}")
    return metadata, layout(sizes)


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
