"""Waiting: longer each time, never in step with others, and as long as a server asks for within reason."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random

import pytest

from pipeline.refine.backoff import Backoff, asked_wait, is_retried

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "retried"),
    [(408, True), (409, True), (429, True), (500, True), (503, True), (599, True), (400, False), (401, False), (404, False), (413, False), (422, False)],
)
def test_what_may_be_another_answer_next_time(status: int, retried: bool) -> None:
    assert is_retried(status) is retried


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 2.5 ", 2.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0.0),
        ("Sun, 01 Mar 2026 13:00:30 +0100", 30.0),
        ("Sun Mar  1 12:00:05 2026", 5.0),
        ("Sun, 99 Mar 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert asked_wait(header, NOW) == seconds


def test_jitter_is_full_and_its_bound_doubles_up_to_the_longest() -> None:
    backoff = Backoff(first=1.0, longest=8.0, random=Random(1))
    for failures, bound in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (5, 8.0), (5000, 8.0)]:
        waits = [backoff.wait(failures) for _ in range(400)]
        assert 0.0 <= min(waits) < 0.05 * bound
        assert 0.95 * bound < max(waits) <= bound


def test_the_same_seed_gives_the_same_waits_and_another_one_others() -> None:
    one, same, other = ([Backoff(random=Random(seed)).wait(failures) for failures in range(1, 9)] for seed in (3, 3, 4))
    assert one == same != other


def test_what_the_server_asks_for_is_the_least_up_to_a_cap() -> None:
    backoff = Backoff(first=0.5, longest=1.0, longest_asked=60.0, random=Random(1))
    assert all(10.0 <= backoff.wait(1, asked=10.0) <= 10.5 for _ in range(100))
    assert all(60.0 <= backoff.wait(1, asked=86400.0) <= 60.5 for _ in range(100))
    assert len({backoff.wait(1, asked=10.0) for _ in range(100)}) > 90
