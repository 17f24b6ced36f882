import numpy as np
import pytest

from pipeline.people import PeopleFinder, PeopleOptions, Person, _is_part_of
from pipeline.perception.protocols import Body, Face
from pipeline.perception.quality import Quality
from pipeline.stopwatch import Stopwatch
from tests.pipeline.drawn_people import BEHIND, HEAD, SIDE, Drawn, calls, draw, drawn_perception

QUALITY = Quality(0.5, 0.5, 0.0, 0.0)


def find(
    heads: list[Drawn], before: list[Person] | None = None, everywhere: bool = False, options: PeopleOptions | None = None
) -> tuple[list[Person], list[str]]:
    perception = drawn_perception()
    finder = PeopleFinder(perception, options or PeopleOptions(legible_pixels=HEAD), Stopwatch())
    return finder.find(draw(heads), before or [], everywhere), calls(perception)


def test_a_frontal_face_is_measured_and_no_body_is_looked_for() -> None:
    people, asked = find([Drawn(100, 60, who=3)])
    assert [person.head.tolist() for person in people] == [[100, 60]]
    assert people[0].embedding is not None
    assert people[0].embedding.argmax() == 3
    assert asked == ["faces", "head_pose", "expression", "identity"]


def test_a_turned_face_gets_its_own_body() -> None:
    people, _ = find([Drawn(60, 60), Drawn(220, 60, SIDE)])
    assert people[0].body is None
    assert people[1].body is not None
    assert np.allclose(people[1].body.head, [220, 60], atol=1)
    assert people[1].body.yaw == 80


def test_who_turned_away_is_found_by_the_body_where_the_face_was() -> None:
    seen, _ = find([Drawn(100, 60)])
    people, _ = find([Drawn(104, 62, BEHIND)], before=seen)
    assert [(person.face, person.body.yaw if person.body else None) for person in people] == [(None, 180)]
    assert np.allclose(people[0].head, [104, 62], atol=1)


def test_a_body_far_from_where_somebody_was_is_somebody_else() -> None:
    seen, _ = find([Drawn(40, 40)])
    people, _ = find([Drawn(98, 60, BEHIND)], before=seen)
    assert people == []


def test_a_body_that_belongs_to_a_seen_face_is_not_counted_twice() -> None:
    seen, _ = find([Drawn(100, 60)])
    people, asked = find([Drawn(127, 60)], before=seen)
    assert len(people) == 1
    assert asked.count("body_pose") == 1


def test_nobody_is_searched_for_in_the_whole_frame_only_when_asked() -> None:
    assert find([Drawn(160, 120, BEHIND)])[0] == []
    people, _ = find([Drawn(160, 120, BEHIND)], everywhere=True)
    assert [person.face for person in people] == [None]


def test_small_faces_abstain_from_expression_and_identity() -> None:
    people, asked = find([Drawn(100, 60)], options=PeopleOptions(legible_pixels=HEAD + 1))
    assert (people[0].expression, people[0].embedding) == (None, None)
    assert asked == ["faces", "head_pose"]


def test_an_uncertain_body_is_nobody() -> None:
    assert find([Drawn(160, 120, BEHIND)], everywhere=True, options=PeopleOptions(body_confidence=0.95))[0] == []


def test_somebody_who_shows_no_face_is_found_beside_a_face() -> None:
    people, _ = find([Drawn(220, 100, BEHIND), Drawn(60, 110)], everywhere=True)
    assert sorted((round(float(person.head[0])), person.face is None) for person in people) == [(60, False), (220, True)]


def faceless(x: float, y: float, size: float) -> Person:
    box = np.array([x - size, y - size / 2, x + size, y + 5.5 * size], np.float32)
    return Person(None, None, Body(box, np.array([x, y], np.float32), 180.0, 0.9), None, None, QUALITY)


def faced(x: float, y: float, size: float, score: float = 0.9) -> Person:
    half = size / 2
    box = np.array([x - half, y - half, x + half, y + half], np.float32)
    return Person(Face(box, np.zeros((5, 2), np.float32), score), None, None, None, None, QUALITY)


@pytest.mark.parametrize(
    ("body", "part"),
    [((100.0, 160.0, 20.0), True), ((100.0, 160.0, 60.0), False), ((300.0, 160.0, 20.0), False), ((100.0, 60.0, 20.0), False)],
)
def test_hands_before_a_chest_are_no_second_person(body: tuple[float, float, float], part: bool) -> None:
    """Smaller than the head above them, and below it; larger is somebody in the foreground."""
    assert _is_part_of(faceless(*body), faced(100, 80, 40)) is part
    assert not _is_part_of(faced(100, 80, 40), faceless(*body))


@pytest.mark.parametrize(("score", "pattern"), [(0.72, True), (0.9, False)])
def test_a_doubtful_face_on_somebody_s_back_is_a_pattern(score: float, pattern: bool) -> None:
    finder = PeopleFinder(drawn_perception(), PeopleOptions(), Stopwatch())
    runner = faceless(100, 50, 20)
    assert finder._is_pattern_on(faced(100, 110, 20, score), runner) is pattern
    assert not finder._is_pattern_on(faced(100, 55, 20, score), runner)
    assert not finder._is_pattern_on(faced(200, 110, 20, score), runner)
