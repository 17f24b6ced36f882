import math
from collections import Counter
from itertools import pairwise

import pytest

from model.positions import AnchorPositions
from schemas.sample import SampleAnchor, anchor_file
from schemas.vocabulary import AnchorKind, Coded, Expression, Viewpoint
from training.data.draws import generator_of
from training.data.superset import check_superset, class_code, class_of, draw_anchors
from training.errors import TrainingError
from training.options import SupersetOptions

MANY = 1500


def anchor(number: int, inside: bool, subclass: Coded | None = None) -> SampleAnchor:
    kind = AnchorKind.GLOBAL if subclass is None else AnchorKind.VIEWPOINT if isinstance(subclass, Viewpoint) else AnchorKind.EXPRESSION
    return SampleAnchor(anchor_file(number), kind, subclass, 0, inside, None, None)


def all_different(inside: int, outside: int) -> list[SampleAnchor]:
    """As many classes as anchors, so that no class is ever full."""
    classes: list[Coded] = [*Expression, *Viewpoint]
    return [anchor(number, number < inside, classes[number]) for number in range(inside + outside)]


def drawn(anchors: list[SampleAnchor], options: SupersetOptions, most_repeats: int = 4) -> list[list[int]]:
    return [draw_anchors(anchors, options, generator_of(0, 0, f"clip{number}", "superset"), most_repeats) for number in range(MANY)]


def near(count: int, share: float, of: int = MANY) -> bool:
    """Within four deviations of a binomial distribution."""
    return abs(count - of * share) <= 4 * math.sqrt(of * share * (1 - share))


def exactly(count: int, **others: object) -> SupersetOptions:
    """Options that always draw this many."""
    return SupersetOptions(count_weights=(*([0.0] * count), 1.0), **others)  # type: ignore[arg-type]


def test_the_same_generator_draws_the_same() -> None:
    anchors = all_different(4, 4)
    assert drawn(anchors, SupersetOptions()) == drawn(anchors, SupersetOptions())


def test_how_many_follows_the_weights_and_a_poor_sample_gives_all() -> None:
    counts = Counter(len(numbers) for numbers in drawn(all_different(2, 2), SupersetOptions(count_weights=(1, 2, 3, 0, 0, 4))))
    assert set(counts) == {0, 1, 2, 4}
    assert all(near(counts[count], share) for count, share in ((0, 0.1), (1, 0.2), (2, 0.3), (4, 0.4)))


def test_one_anchor_is_from_outside_with_the_share_and_uniform_on_its_side() -> None:
    numbers = Counter(one for (one,) in drawn(all_different(2, 3), exactly(1, outside_share=0.75)))
    assert all(near(numbers[inside], 0.25 / 2) for inside in (0, 1))
    assert all(near(numbers[outside], 0.75 / 3) for outside in (2, 3, 4))


def test_where_a_side_has_none_left_the_other_gives() -> None:
    both = drawn(all_different(1, 3), exactly(2, outside_share=0.75))
    assert all(len(set(numbers)) == 2 for numbers in both)
    assert near(sum(0 in numbers for numbers in both), 1 - 0.75**2)  # the one from inside comes first or second
    assert all(sorted(numbers) == [0, 1, 2] for numbers in drawn(all_different(0, 3), exactly(3, outside_share=0.25)))


@pytest.mark.parametrize(("share", "allowed"), [(0.0, {0, 1}), (1.0, {2, 3, 4})])
def test_a_side_that_the_share_forbids_never_gives(share: float, allowed: set[int]) -> None:
    assert all(set(numbers) == allowed for numbers in drawn(all_different(2, 3), exactly(5, outside_share=share)))


def test_only_kinds_that_are_wanted() -> None:
    anchors = [anchor(0, True), anchor(1, False, Viewpoint.LEFT), anchor(2, False, Expression.SAD)]
    assert all(numbers == [0] for numbers in drawn(anchors, exactly(3, kinds=("global",))))
    assert all(numbers == [1, 2] for numbers in drawn(anchors, exactly(3, kinds=("viewpoint", "expression"))))


@pytest.mark.parametrize(("most_per_class", "most_repeats", "expected"), [(2, 4, 2), (9, 3, 3), (1, 4, 1)])
def test_a_class_gives_no_more_than_it_may(most_per_class: int, most_repeats: int, expected: int) -> None:
    anchors = [anchor(number, number % 2 == 0, Viewpoint.BACK) for number in range(6)] + [anchor(6, True)]
    for numbers in drawn(anchors, exactly(7, most_per_class=most_per_class), most_repeats):
        assert len(numbers) == expected + 1
        assert 6 in numbers


def test_the_networks_positions_have_room_for_every_draw() -> None:
    anchors = [anchor(number, number % 2 == 0, Viewpoint.BACK) for number in range(8)]
    AnchorPositions().of([class_of(anchors[number]) for number in draw_anchors(anchors, exactly(8, most_per_class=99), generator_of(0, 0, "a", "b"))])


def test_anchors_come_in_the_order_of_their_classes() -> None:
    anchors = [anchor(0, True, Expression.SAD), anchor(1, False, Viewpoint.RIGHT), anchor(2, True), anchor(3, False, Viewpoint.FRONT), anchor(4, False)]
    for numbers in drawn(anchors, SupersetOptions()):
        codes = [class_code(class_of(anchors[number])) for number in numbers]
        assert all(one <= other for one, other in pairwise(codes))


def test_the_place_within_a_class_does_not_tell_the_side() -> None:
    pairs = drawn([anchor(0, True), anchor(1, False)], exactly(2, outside_share=0.5))
    assert near(sum(numbers == [0, 1] for numbers in pairs), 0.5)


def test_none_where_there_is_none() -> None:
    assert all(numbers == [] for numbers in drawn([], SupersetOptions())[:10])


def test_options_that_cannot_be() -> None:
    check_superset(SupersetOptions())
    for options, name in (
        (SupersetOptions(count_weights=()), "count-weights"),
        (SupersetOptions(outside_share=1.5), "outside-share"),
        (SupersetOptions(most_per_class=0), "most-per-class"),
    ):
        with pytest.raises(TrainingError, match=f"--superset.{name}"):
            check_superset(options)
