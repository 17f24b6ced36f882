from collections import Counter
from fractions import Fraction
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import ModelInputError
from model.positions import AnchorClass, AnchorPositions
from schemas.vocabulary import SUBCLASSES, AnchorKind, Expression, Viewpoint

GLOBAL = AnchorClass(AnchorKind.GLOBAL)
CODES = [(0, 0), *((1, view) for view in range(4)), *((2, face) for face in range(8))]
"""Kind and subclass of every class, written out: the codes are on disk and never change."""


def test_every_class_is_there_once_in_the_order_of_the_codes() -> None:
    found = [(int(anchor.kind), 0 if anchor.subclass is None else int(anchor.subclass)) for anchor in AnchorClass.all()]
    assert found == CODES


def test_positions_in_closed_form() -> None:
    positions = AnchorPositions()
    assert [positions.of([anchor])[0] for anchor in AnchorClass.all()] == [32 + 16 * kind + 2 * code for kind, code in CODES]
    assert positions.of([GLOBAL, AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.BACK), AnchorClass(AnchorKind.EXPRESSION, Expression.HAPPY)]) == [32.0, 54.0, 66.0]


def test_offsets_follow_the_codes_and_the_steps() -> None:
    positions = AnchorPositions(first=-7.5, kind_step=-100.0, subclass_step=-1.5, repeat_step=0.125, longest_chunk=8)
    for anchor, (kind, code) in zip(AnchorClass.all(), CODES, strict=True):
        assert positions.of([anchor] * 4) == [-7.5 - 100 * kind - 1.5 * code + 0.125 * repeat for repeat in range(4)]


def test_anchors_of_one_class_stand_apart_but_nearer_to_it_than_to_any_other() -> None:
    positions = AnchorPositions()
    everybody = [(anchor, place) for anchor in AnchorClass.all() for place in positions.of([anchor] * positions.most_repeats)]
    assert len({place for _, place in everybody}) == 4 * len(CODES)
    for anchor, place in everybody:
        homes = {other: abs(place - positions.of([other])[0]) for other in AnchorClass.all()}
        assert min(homes, key=lambda other: homes[other]) == anchor


def test_the_defaults_leave_the_video_and_a_ninth_subclass_alone() -> None:
    positions = AnchorPositions()
    places = [place for anchor in AnchorClass.all() for place in positions.of([anchor] * positions.most_repeats)]
    assert min(places) >= positions.longest_chunk
    assert 8 * positions.subclass_step <= positions.kind_step


def test_order_decides_which_repeat_an_anchor_is_and_nothing_else() -> None:
    views = [AnchorClass(AnchorKind.VIEWPOINT, view) for view in (Viewpoint.LEFT, Viewpoint.RIGHT)]
    positions = AnchorPositions()
    assert positions.of([views[0], GLOBAL, views[0], views[1], GLOBAL]) == [50.0, 32.0, 50.25, 52.0, 32.25]
    assert positions.of([]) == []


def test_more_of_a_class_than_there_is_room_for_is_told() -> None:
    with pytest.raises(ModelInputError, match="more than 4 anchors of class viewpoint left"):
        AnchorPositions().of([AnchorClass(AnchorKind.VIEWPOINT, Viewpoint.LEFT)] * 5)


@pytest.mark.parametrize(
    ("steps", "one", "other"),
    [
        ({"first": 31.0}, "global number 0", "video frame 31"),
        ({"first": 0.0}, "global number 0", "video frame 0"),
        ({"first": 30.75}, "global number 1", "video frame 31"),
        ({"first": 40.0, "kind_step": -16.0}, "expression neutral number 0", "video frame 8"),
        ({"longest_chunk": 33}, "global number 0", "video frame 32"),
        ({"kind_step": 0.0}, "global number 0", "expression neutral number 0"),
        ({"kind_step": 0.5}, "global number 2", "viewpoint front number 0"),
        ({"kind_step": 6.0}, "viewpoint back number 0", "expression neutral number 0"),
        ({"kind_step": 14.0, "subclass_step": 7.0}, "expression", "viewpoint"),
        ({"subclass_step": 0.0}, "viewpoint front number 0", "viewpoint back number 0"),
        ({"subclass_step": 0.75}, "viewpoint front number 3", "viewpoint left number 0"),
        ({"repeat_step": 0.0}, "global number 0", "global number 1"),
        ({"repeat_step": 2.0}, "viewpoint front number 1", "viewpoint left number 0"),
        ({"repeat_step": 16.0}, "global number 1", "viewpoint front number 0"),
    ],
)
def test_every_way_to_overlap_is_refused_and_both_are_named(steps: dict[str, Any], one: str, other: str) -> None:
    with pytest.raises(ModelInputError, match=r"would both stand at .*; change the steps") as caught:
        AnchorPositions(**steps)
    assert one in str(caught.value)
    assert other in str(caught.value)


def test_positions_that_differ_only_by_rounding_are_one() -> None:
    """0.1 * 3 and 0.3 are not the same number, but nothing that attends can tell them apart."""
    assert 0.1 * 3 != 0.3
    with pytest.raises(ModelInputError, match="would both stand at"):
        AnchorPositions(first=0.0, subclass_step=0.3, repeat_step=0.1, longest_chunk=0)


@pytest.mark.parametrize("step", [float("nan"), float("inf"), 1e308])
def test_steps_that_lead_nowhere_are_refused(step: float) -> None:
    with pytest.raises(ModelInputError, match="would stand nowhere; give finite steps"):
        AnchorPositions(kind_step=step * 10)


quarters = st.integers(-80, 160).map(lambda number: Fraction(number, 4))


@given(first=quarters, kind=quarters, subclass=quarters, repeat=quarters, most=st.integers(1, 5), chunk=st.integers(0, 40))
def test_steps_are_accepted_exactly_when_all_stand_apart(first: Fraction, kind: Fraction, subclass: Fraction, repeat: Fraction, most: int, chunk: int) -> None:
    anchors = [first + kind * i + subclass * j + repeat * n for i, j in CODES for n in range(most)]
    apart = all(one != other for one, other in combinations([*anchors, *range(chunk)], 2))
    steps = {"first": float(first), "kind_step": float(kind), "subclass_step": float(subclass), "repeat_step": float(repeat)}
    if apart:
        positions = AnchorPositions(**steps, most_repeats=most, longest_chunk=chunk)
        assert Counter(place for anchor in AnchorClass.all() for place in positions.of([anchor] * most)) == Counter(map(float, anchors))
    else:
        with pytest.raises(ModelInputError, match="would both stand at"):
            AnchorPositions(**steps, most_repeats=most, longest_chunk=chunk)


@pytest.mark.parametrize("anchor", AnchorClass.all(), ids=str)
def test_words_lead_to_the_class_and_back(anchor: AnchorClass) -> None:
    subclass = None if anchor.subclass is None else anchor.subclass.word
    assert AnchorClass.from_words(anchor.kind.word, subclass) == anchor
    assert str(anchor) == (anchor.kind.word if subclass is None else f"{anchor.kind.word} {subclass}")


@pytest.mark.parametrize(
    ("kind", "subclass", "words"),
    [
        ("portrait", None, ["'portrait'", "global", "viewpoint", "expression"]),
        ("viewpoint", "above", ["'above'", *Viewpoint.words()]),
        ("expression", "bored", ["'bored'", *Expression.words()]),
        ("expression", "left", ["'left'", *Expression.words()]),
        ("viewpoint", None, ["None", *Viewpoint.words()]),
        ("expression", None, ["None", *Expression.words()]),
        ("global", "front", ["'front'", "global anchor's subclass is none"]),
    ],
)
def test_other_words_are_told_with_those_that_there_are(kind: str, subclass: str | None, words: list[str]) -> None:
    with pytest.raises(ModelInputError) as caught:
        AnchorClass.from_words(kind, subclass)
    assert [word for word in words if word not in str(caught.value)] == []


def test_a_subclass_of_another_kind_is_refused() -> None:
    for kind, vocabulary in SUBCLASSES.items():
        for subclass in [None, *Viewpoint, *Expression]:
            if (subclass is None) if vocabulary is None else isinstance(subclass, vocabulary):
                assert AnchorClass(kind, subclass).subclass is subclass
            else:
                with pytest.raises(ModelInputError, match=f"a {kind.word} anchor's subclass is"):
                    AnchorClass(kind, subclass)
