from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.order import epoch_order, plan_epoch


def shards_of(shards: int, per_shard: int) -> np.ndarray:
    return np.repeat(np.arange(shards), per_shard)


def test_every_sample_once_and_another_order_in_each_epoch() -> None:
    shard, rows = shards_of(20, 5), np.arange(100)
    orders = [epoch_order(shard, rows, seed=3, epoch=epoch, block_shards=4) for epoch in range(3)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert not (orders[0] == orders[1]).all()
    assert not (orders[1] == orders[2]).all()
    assert not (orders[0] == epoch_order(shard, rows, seed=4, epoch=0, block_shards=4)).all()
    assert (orders[1] == epoch_order(shard, rows, seed=3, epoch=1, block_shards=4)).all()


def test_the_order_is_that_of_every_release() -> None:
    """Trainings go on after an upgrade of numpy or of this project: these numbers never change."""
    assert epoch_order(shards_of(4, 3), np.arange(12), seed=7, epoch=2, block_shards=2).tolist() == [9, 10, 6, 11, 7, 8, 0, 3, 1, 5, 4, 2]


@pytest.mark.parametrize("block", [1, 3, 4, 50])
def test_a_block_of_shards_is_read_to_its_end_before_the_next(block: int) -> None:
    shard = shards_of(12, 7)
    order = epoch_order(shard, np.arange(84), seed=0, epoch=0, block_shards=block)
    blocks = [set(shard[order[start : start + 7 * block]].tolist()) for start in range(0, 84, 7 * block)]
    assert sum(len(each) for each in blocks) == 12
    assert all(len(each) == min(block, 12) for each in blocks)
    if block == 4:
        assert blocks[0] != {0, 1, 2, 3}
        first = shard[order[:28]]
        assert len(set(first[:8].tolist())) > 1, "shards of a block are mixed"


def test_shuffling_is_fair() -> None:
    """Every shard comes first, and every sample of a shard comes first in it, about equally often."""
    shard, rows = shards_of(5, 4), np.arange(20)
    orders = [epoch_order(shard, rows, 0, epoch, block_shards=1) for epoch in range(2000)]
    first_shard, first_sample = Counter(int(shard[order[0]]) for order in orders), Counter(int(order[0]) % 4 for order in orders)
    assert all(abs(count - 400) < 90 for count in first_shard.values())
    assert all(abs(count - 500) < 100 for count in first_sample.values())


def test_only_the_rows_that_take_part() -> None:
    rows = np.array([1, 4, 5, 9, 30])
    order = epoch_order(shards_of(10, 4), rows, seed=1, epoch=0, block_shards=2)
    assert sorted(order) == rows.tolist()


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(1, 9), st.randoms())
def test_batches_are_of_one_bucket_and_lose_nobody(buckets: list[int], batch_size: int, random: object) -> None:
    bucket = np.array(buckets, np.int64)
    order = np.array(random.sample(range(len(buckets)), len(buckets)), np.int64)  # type: ignore[attr-defined]
    plan = plan_epoch(order, bucket, batch_size)
    batches = [plan.batch(number).tolist() for number in range(len(plan))]
    assert sorted(row for batch in batches for row in batch) == list(range(len(buckets)))
    assert all(len({buckets[row] for row in batch}) == 1 for batch in batches)
    assert [len(batch) == batch_size for batch in batches] == [True] * plan.full + [False] * (len(plan) - plan.full)
    assert {buckets[batch[0]]: len(batch) for batch in batches[plan.full :]} == plan.left_over
    assert plan.left_over == {each: count % batch_size for each, count in Counter(buckets).items() if count % batch_size}


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 5))
def test_batches_come_as_they_get_full(buckets: list[int], batch_size: int) -> None:
    """Against the plain way of doing it: a waiting list for each bucket."""
    waiting: dict[int, list[int]] = {}
    expected = []
    for row, bucket in enumerate(buckets):
        waiting.setdefault(bucket, []).append(row)
        if len(waiting[bucket]) == batch_size:
            expected.append(waiting.pop(bucket))
    expected += sorted(waiting.values(), key=lambda batch: batch[-1])
    plan = plan_epoch(np.arange(len(buckets)), np.array(buckets, np.int64), batch_size)
    assert [plan.batch(number).tolist() for number in range(len(plan))] == expected
