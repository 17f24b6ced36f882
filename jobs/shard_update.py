"""Bringing a folder of shards in line with what belongs into it: the second of the two steps in which ``pack`` and ``encode`` come to their shards."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jobs.engine import Stateless, run_units
from jobs.stage import Job, StageSummary
from pipeline import storage
from pipeline.pack import shards as shard_files
from pipeline.pack.shards import Piece, Row, ShardPlan
from schemas.table import TableVersionError


@dataclass(frozen=True)
class ShardWork(Stateless):
    """Copies shards together."""

    shards: str
    name: str = "shards"

    def __call__(self, unit: ShardPlan) -> int:
        """Write a shard; its size in bytes."""
        return shard_files.write_shard(self.shards, unit)


@dataclass(frozen=True, slots=True)
class PresentShards:
    """What is there.

    Attributes:
        rows: the index's rows of the shards that are there in full.
        intact: that is all that the index has.
    """

    rows: tuple[Row, ...]
    intact: bool

    def samples(self) -> set[tuple[str, str]]:
        """Key and hash of the samples."""
        return {(row["key"], row["sample_hash"]) for row in self.rows}


def present_shards(shards: str) -> PresentShards:
    """What a folder of shards holds. Shards of another release's index do not count: they are made anew."""
    try:
        rows = shard_files.read_shard_index(shards)
    except TableVersionError:
        return PresentShards((), False)
    whole = {shard for shard, size in shard_files.shard_sizes(rows).items() if _size(storage.join(shards, shard)) == size}
    present = tuple(row for row in rows if row["shard"] in whole)
    return PresentShards(present, len(present) == len(rows) and storage.exists(storage.join(shards, shard_files.INDEX)))


@dataclass(frozen=True, slots=True)
class Filling:
    """How samples are laid into shards.

    Attributes:
        shard_bytes: a shard is closed before it grows beyond this.
        seed: of the samples' order.
        notes: for the index's parquet metadata.
    """

    shard_bytes: int
    seed: int
    notes: Mapping[bytes, bytes] | None = None


def update_shards(
    job: Job, shards: str, present: PresentShards, wanted: Mapping[str, str], pieces: Sequence[Piece], filling: Filling, summary: StageSummary
) -> list[Row]:
    """Keep the shards without a stale sample; put what is new, and what is still wanted of the others, into new ones; write the index; tidy up.

    When the shards are in line already, nothing is written.

    Args:
        job: where.
        shards: their folder.
        present: what is there.
        wanted: sample_hash of every sample that belongs into shards, by its key.
        pieces: what is new.
        filling: how shards are filled.
        summary: what was done is counted there.

    Returns:
        The index's rows.

    Raises:
        InputError: the storage failed; what was staged is used by the next run.
    """
    started = time.monotonic()
    stale = {row["shard"] for row in present.rows if wanted.get(row["key"]) != row["sample_hash"]}
    kept = [row for row in present.rows if row["shard"] not in stale]
    rescued = [Piece(row, storage.join(shards, row["shard"])) for row in present.rows if row["shard"] in stale and wanted.get(row["key"]) == row["sample_hash"]]
    first = shard_files.next_number(shards)
    plans, new = shard_files.fill([*pieces, *rescued], first, filling.shard_bytes, filling.seed)
    for outcome in run_units(ShardWork(shards), plans, job.engine):
        if outcome.error is not None:
            raise outcome.error
        summary.counts["shard bytes written"] += outcome.result or 0
    rows = kept + new
    summary.counts["samples"] = len(rows)
    summary.counts["shards written"] = len(plans)
    summary.counts["shards kept"] = len({row["shard"] for row in kept})
    summary.seconds["shards"] = time.monotonic() - started
    if not present.intact or rows != list(present.rows):
        shard_files.write_shard_index(shards, rows, first + len(plans), filling.notes)
    summary.counts["shards removed"] = shard_files.tidy(shards, {row["shard"] for row in rows})
    return rows


def _size(uri: str) -> int | None:
    return storage.size(uri) if storage.exists(uri) else None
