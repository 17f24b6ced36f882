from collections import Counter
from itertools import islice, pairwise, takewhile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.batches import BatchPlan, Step, micro_batches
from training.data.places import Place
from training.errors import TrainingError
from training.options import ShortBatches

SHARD = np.repeat(np.arange(6), 9)
BUCKET = np.random.default_rng(0).choice(3, 54, p=[0.6, 0.3, 0.1])


def plan(batch_size: int = 4, seed: int = 1, short_batches: ShortBatches = "train", rows: np.ndarray | None = None) -> BatchPlan:
    return BatchPlan(SHARD, BUCKET, np.arange(54) if rows is None else rows, seed, batch_size, block_shards=2, short_batches=short_batches)


def epoch_of(steps: BatchPlan, epoch: int) -> list[Step]:
    return list(takewhile(lambda step: step.epoch == epoch, steps.steps(epoch * steps.epoch_samples)))


@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_every_sample_once_in_each_epoch(batch_size: int) -> None:
    each = plan(batch_size)
    for epoch in range(3):
        steps = epoch_of(each, epoch)
        assert len(steps) == each.epoch_steps
        assert sorted(row for step in steps for row in step.rows) == list(range(54))
        assert all(step.passed_over == 0 for step in steps)


def test_positions_follow_one_another_across_epochs() -> None:
    steps = list(islice(plan().steps(), 60))
    assert steps[0].position == 0
    assert all(after.position == before.position_after for before, after in pairwise(steps))
    assert {step.epoch for step in steps} == {0, 1, 2, 3}


@pytest.mark.parametrize("short_batches", ["train", "skip"])
def test_going_on_at_any_position_gives_the_same_steps(short_batches: ShortBatches) -> None:
    each = plan(short_batches=short_batches)
    steps = list(islice(each.steps(), 45))
    for number in range(0, 40, 3):
        again = list(islice(each.steps(steps[number].position), 5))
        assert [(step.position, step.epoch, step.rows.tolist()) for step in again] == [
            (step.position, step.epoch, step.rows.tolist()) for step in steps[number : number + 5]
        ]


def test_what_is_passed_over_is_counted() -> None:
    each = plan(short_batches="skip")
    steps = epoch_of(each, 0)
    assert {len(step.rows) for step in steps} == {4}
    assert sum(each.left_over.values()) == 54 - sum(len(step.rows) for step in steps) > 0
    assert [step.passed_over for step in steps] == [0] * (len(steps) - 1) + [sum(each.left_over.values())]
    assert steps[-1].position_after == 54
    assert each.left_over == {bucket: count % 4 for bucket, count in Counter(BUCKET.tolist()).items() if count % 4}
    assert each.bucket_counts == dict(Counter(BUCKET.tolist()))


def test_a_position_where_no_batch_begins_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"no batch of 4 begins at sample 3: go on with the samples and the batch.size"):
        next(plan().steps(3))


def test_a_plan_without_a_step_is_refused() -> None:
    with pytest.raises(TrainingError, match="no sample to train on"):
        plan(rows=np.array([], np.int64))
    with pytest.raises(TrainingError, match=r"no size bucket fills a batch: the largest has \d+ samples, batch.size is 100"):
        plan(100, short_batches="skip")
    with pytest.raises(TrainingError, match=r"batch\.size .* must be 1 or more, not 0"):
        plan(0)
    assert len(epoch_of(plan(100), 0)) == 3


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 5))
def test_ranks_share_a_step(samples: int, ranks: int, micro: int) -> None:
    step = Step(2, 0, np.arange(100, 100 + samples), 0)
    shares = [micro_batches(step, rank, ranks, micro) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert all(1 <= len(places) <= micro for share in shares for places in share)
    counted = [[place.row for places in share for place in places if place.counted] for share in shares]
    assert [row for share in counted for row in share] == list(range(100, 100 + samples))
    assert max(map(len, counted)) - min(map(len, counted)) <= 1
    assert len(shares[0]) == -(-max(map(len, counted)) // micro)
    assert all(place.epoch == 2 for share in shares for places in share for place in places)
    assert all(places == [Place(2, 100, counted=False)] or all(place.counted for place in places) for share in shares for places in share)


@pytest.mark.parametrize("before", [1, 2, 3])
@pytest.mark.parametrize("after", [1, 2, 3])
def test_the_same_order_goes_on_after_a_change_of_ranks(before: int, after: int) -> None:
    def seen(step: Step, ranks: int) -> list[int]:
        return [place.row for rank in range(ranks) for places in micro_batches(step, rank, ranks, 2) for place in places if place.counted]

    each = plan(5)
    alone = [row for step in islice(each.steps(), 30) for row in seen(step, 1)]
    first = list(islice(each.steps(), 13))
    then = islice(each.steps(first[-1].position_after), 17)
    assert [row for step in first for row in seen(step, before)] + [row for step in then for row in seen(step, after)] == alone


def test_the_work_is_in_proportion_to_an_epoch() -> None:
    """A position far ahead is as near as the first."""
    position = 54 * 10**9
    step = next(plan().steps(position))
    assert (step.epoch, step.position) == (10**9, position)
