from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.people import PeopleFinder, PeopleOptions, Person
from pipeline.stopwatch import Stopwatch
from pipeline.tracks import TrackOptions, join_tracks
from tests.pipeline.drawn_people import BEHIND, HEAD, Drawn, draw, drawn_perception

QUARTER = 250_000_000


def watched(scenes: Sequence[Sequence[Drawn]], step_ns: int = QUARTER) -> list[tuple[int, list[Person]]]:
    """What is seen of drawn scenes, a quarter of a second apart."""
    finder = PeopleFinder(drawn_perception(), PeopleOptions(legible_pixels=HEAD), Stopwatch())
    samples: list[tuple[int, list[Person]]] = []
    before: list[Person] = []
    for number, heads in enumerate(scenes):
        before = finder.find(draw(heads), before, search_everywhere=True)
        samples.append((number * step_ns, before))
    return samples


def names(scenes: Sequence[Sequence[Drawn]], samples: list[tuple[int, list[Person]]]) -> list[list[int]]:
    """Who each person of the samples really is: the drawn head at the same place."""
    return [
        [min(heads, key=lambda head, person=person: abs(head.x - person.head[0]) + abs(head.y - person.head[1])).who for person in people]  # type: ignore[misc]
        for heads, (_, people) in zip(scenes, samples, strict=True)
    ]


def track_of(scenes: Sequence[Sequence[Drawn]], step_ns: int = QUARTER) -> dict[int, set[int]]:
    """Who is drawn to the tracks he was given."""
    samples = watched(scenes, step_ns)
    tracks: dict[int, set[int]] = {}
    for who, numbers in zip(names(scenes, samples), join_tracks(samples, TrackOptions()), strict=True):
        assert len(set(numbers)) == len(numbers)
        for name, number in zip(who, numbers, strict=True):
            tracks.setdefault(name, set()).add(number)
    return tracks


def test_two_people_who_stay_are_two_tracks_in_the_order_of_appearance() -> None:
    scenes = [[Drawn(60 + i, 60, who=1), Drawn(200 - i, 80, who=2)] for i in range(8)]
    assert track_of(scenes) == {1: {0}, 2: {1}}


def test_who_turns_away_and_back_keeps_the_track() -> None:
    scenes = [[Drawn(160 + 2 * i, 80, BEHIND if 3 <= i < 7 else 250, who=4)] for i in range(10)]
    assert track_of(scenes) == {4: {0}}


def test_two_who_cross_do_not_swap() -> None:
    scenes = [[Drawn(40 + 20 * i, 60, who=1), Drawn(240 - 20 * i, 88, who=2)] for i in range(11)]
    tracks = track_of(scenes)
    assert {len(numbers) for numbers in tracks.values()} == {1}
    assert tracks[1] != tracks[2]


def test_another_face_at_the_same_place_is_another_track() -> None:
    scenes = [[Drawn(100, 60, who=1 if i < 4 else 2)] for i in range(8)]
    assert track_of(scenes) == {1: {0}, 2: {1}}


@pytest.mark.parametrize(("absent", "tracks"), [(6, {0}), (20, {0, 1})])
def test_a_face_that_comes_back_soon_continues_its_track(absent: int, tracks: set[int]) -> None:
    scenes = [[Drawn(100, 60, who=1)]] * 3 + [[]] * absent + [[Drawn(110, 60, who=1)]] * 3
    assert track_of(scenes) == {1: tracks}


def test_one_face_far_away_is_the_same_person_when_identity_says_so() -> None:
    scenes = [[Drawn(40 if i < 4 else 280, 60, who=1)] for i in range(8)]
    assert track_of(scenes) == {1: {0}}


@settings(max_examples=30, deadline=None)
@given(st.permutations([0, 1, 2]), st.integers(0, 2**31))
def test_the_order_in_which_people_are_listed_makes_no_difference(order: list[int], seed: int) -> None:
    jitter = np.random.default_rng(seed).integers(-4, 5, (6, 3, 2))
    scenes = [[Drawn(50 + 90 * who + int(jitter[i, who, 0]), 80 + int(jitter[i, who, 1]), who=who) for who in range(3)] for i in range(6)]
    samples = watched(scenes)
    shuffled = [samples[0]] + [(pts_ns, [people[k] for k in order]) for pts_ns, people in samples[1:]]
    numbers, expected = join_tracks(shuffled, TrackOptions()), join_tracks(samples, TrackOptions())
    assert numbers[1:] == [[row[k] for k in order] for row in expected[1:]]


def test_who_walks_by_in_full_figure_stays_one_track_without_a_face() -> None:
    """Five heads a second, seen from behind: further than a head between two samples."""
    scenes = [[Drawn(40 + round(1.25 * HEAD) * i, 60, BEHIND)] for i in range(8)]
    assert track_of(scenes) == {0: {0}}


def test_of_two_tracks_the_fresher_one_goes_on() -> None:
    """Somebody without a known identity left near here two seconds ago; who is here now was here a moment ago."""
    finder = PeopleFinder(drawn_perception(), PeopleOptions(legible_pixels=HEAD), Stopwatch())
    old, now = finder.find(draw([Drawn(100, 60, BEHIND)]), [], True), finder.find(draw([Drawn(112, 60, BEHIND)]), [], True)
    later = finder.find(draw([Drawn(104, 60, BEHIND)]), [], True)
    samples = [(0, [*old, *now]), (6 * QUARTER, now), (7 * QUARTER, later)]
    assert join_tracks(samples, TrackOptions()) == [[0, 1], [1], [1]]


def test_a_small_face_where_a_large_one_was_is_somebody_else() -> None:
    finder = PeopleFinder(drawn_perception(), PeopleOptions(legible_pixels=10 * HEAD), Stopwatch())
    (small,) = finder.find(draw([Drawn(100, 60)]), [], False)
    assert small.face is not None
    center = np.tile(small.head, 2)
    large = replace(small, face=replace(small.face, box=center + 2.5 * (small.face.box - center)))
    assert join_tracks([(0, [large]), (QUARTER, [small])], TrackOptions()) == [[0], [1]]
