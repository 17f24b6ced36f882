"""The order of the samples in an epoch, and how it is cut into batches: a function of (seed, epoch) and of the index, of nothing else.

Shards are put into a drawn order, and the samples of ``block_shards`` shards after one another are shuffled together: who reads along this
order needs that many shards at a time, and each of them once. A batch is of one size bucket. Samples wait, bucket by bucket, until a batch is
full; the batches come in the order in which they got full, and those that did not get full come last.

The drawn numbers are raw words of PCG64, which numpy promises never to change; its shuffles come without that promise.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class EpochPlan:
    """The batches of an epoch.

    Attributes:
        rows: (N,) of the index, batch after batch.
        starts: (B + 1,) where each batch begins in ``rows``, and N.
        full: number of batches that have ``batch_size`` samples; they are the first ones.
        left_over: by bucket, the samples that are in its short batch; buckets that leave none over are not in it.
    """

    rows: Integers
    starts: Integers
    full: int
    left_over: dict[int, int]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def batch(self, number: int) -> Integers:
        """The rows of a batch."""
        return self.rows[self.starts[number] : self.starts[number + 1]]


def epoch_order(shard: Integers, rows: Integers, seed: int, epoch: int, block_shards: int) -> Integers:
    """The rows in the order of an epoch, block-shuffled.

    Args:
        shard: (N,) of every sample in the index, the number of its shard.
        rows: those that take part, ascending.
        seed: any integer.
        epoch: from 0.
        block_shards: shards that are shuffled together.

    Returns:
        ``rows`` in another order.
    """
    numbers, which = np.unique(shard[rows], return_inverse=True)
    place = np.empty(len(numbers), np.int64)
    place[np.argsort(_tickets(len(numbers), seed, epoch, "shards"), kind="stable")] = np.arange(len(numbers))
    # A sample's ticket belongs to its row, not to its place among those that take part: holding others out does not reshuffle the rest of its block.
    tickets = _tickets(len(shard), seed, epoch, "samples")[rows]
    return rows[np.lexsort((tickets, place[which] // block_shards))]


def plan_epoch(order: Integers, bucket: Integers, batch_size: int) -> EpochPlan:
    """Cut the order of an epoch into batches of one bucket each.

    Args:
        order: rows of the index.
        bucket: (N,) of every sample in the index, a number that stands for its size.
        batch_size: samples of a full batch.
    """
    names, which, counts = np.unique(bucket[order], return_inverse=True, return_counts=True)
    grouped = np.argsort(which, kind="stable")
    number_in_bucket = np.empty(len(order), np.int64)
    number_in_bucket[grouped] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    full = counts // batch_size
    short = number_in_bucket >= (full * batch_size)[which]

    # The turn of a batch is that of its last sample, behind all full ones when it is short.
    batches = -(-counts // batch_size)
    batch = (np.cumsum(batches) - batches)[which] + number_in_bucket // batch_size
    turn = np.zeros(batches.sum(), np.int64)
    np.maximum.at(turn, batch, np.arange(len(order)) + short * len(order))
    by_turn = np.argsort(turn[batch], kind="stable")
    starts = np.flatnonzero(np.diff(turn[batch][by_turn], prepend=-1))
    left_over = {int(each): int(count % batch_size) for each, count in zip(names, counts, strict=True) if count % batch_size}
    return EpochPlan(order[by_turn], np.append(starts, len(order)), int(full.sum()), left_over)


def _tickets(count: int, seed: int, epoch: int, purpose: str) -> NDArray[np.uint64]:
    """Random words to sort by."""
    entropy = hashlib.sha256(f"{seed} {epoch} {purpose}".encode()).digest()
    return np.random.PCG64(int.from_bytes(entropy, "little")).random_raw(count)
