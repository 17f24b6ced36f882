"""Reading samples by their byte ranges, each checked before anybody decodes it."""

import os
from collections import OrderedDict
from typing import Any, BinaryIO

from schemas.sample import Sample, SampleError, parse_sample
from training.data.foreign import Clip, foreign_sample, is_foreign
from training.data.index import ShardIndex
from training.data.shard_cache import ShardCache

MOST_OPEN = 64
"""Shards that a process has open."""


class ShardReader:
    """Reads samples of an index. It can be sent to workers, forked, and used by several threads: each read says where it reads."""

    def __init__(self, index: ShardIndex, cache: ShardCache) -> None:
        """Nothing is opened yet."""
        self.index, self.cache = index, cache
        self._open: OrderedDict[int, BinaryIO] = OrderedDict()

    def read(self, row: int) -> Sample:
        """A whole sample, its bytes checked by their sums; one that others packed as one of ours.

        Args:
            row: of the index.

        Raises:
            SampleError: it is damaged, of another version, or not what the index says; the message names shard and key.
            TrainingError: the shard is not there, or cannot be fetched.
        """
        index = self.index
        key, url = str(index.keys[row]), index.shard_urls[index.shard[row]]
        try:
            return self._parse(row, key, self._members(row))
        except SampleError as error:
            raise type(error)(f"{error} (in {url})") from error

    def close(self) -> None:
        """Close all shards; the next read opens them again."""
        while self._open:
            self._open.popitem()[1].close()

    def _members(self, row: int) -> dict[str, bytes]:
        shard, start, size = int(self.index.shard[row]), int(self.index.offset[row]), int(self.index.size[row])
        content = self._read(shard, start, size)
        if len(content) < size:
            end = os.fstat(self._file(shard).fileno()).st_size
            raise SampleError(
                f"{self.index.keys[row]}: the shard ends at byte {end}, the sample lies at {start} to {start + size}: "
                "it was cut off, or is not the one that was indexed; copy it again"
            )
        return {name: content[offset - start : offset - start + length] for name, offset, length in self.index.members(row)}

    def _read(self, shard: int, start: int, size: int) -> bytes:
        # pread leaves the file's own position alone, which forked workers would share.
        file = self._file(shard).fileno()
        blocks = []
        try:
            while size and (block := os.pread(file, size, start)):
                blocks.append(block)
                start, size = start + len(block), size - len(block)
        except OSError as error:
            raise SampleError(f"bytes from {start} on cannot be read ({error.strerror}); look after the disk") from error
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def _file(self, shard: int) -> BinaryIO:
        file = self._open.pop(shard, None) or self.cache.open(self.index.shard_urls[shard])
        self._open[shard] = file
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)[1].close()
        return file

    def _parse(self, row: int, key: str, members: dict[str, bytes]) -> Sample:
        index = self.index
        size = int(index.frame_count[row]), int(index.width[row]), int(index.height[row])
        if is_foreign(members):
            return foreign_sample(key, members, Clip(size[0], float(index.frame_rate[row]), *size[1:], bool(index.audio[row])), str(index.sample_hash[row]))
        sample = parse_sample(key, members)
        found = sample.metadata.frame_count, sample.metadata.width, sample.metadata.height
        if found != size:
            raise SampleError(f"{key}: has {found[0]} frames of {found[1]}x{found[2]}, by the index {size[0]} of {size[1]}x{size[2]}: index the shards again")
        return sample

    def __getstate__(self) -> dict[str, Any]:
        return {"index": self.index, "cache": self.cache}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["index"], state["cache"])  # type: ignore[misc]
