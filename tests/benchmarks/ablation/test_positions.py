"""What each arm's positions tell."""

from benchmarks.ablation.drawn import CLASSES
from benchmarks.ablation.positions import KindPositions, RandomOrderPositions, SharedPosition
from model.positions import AnchorPositions, Positions

KNOWN = AnchorPositions().of(CLASSES)


def test_one_for_all() -> None:
    assert SharedPosition().of(CLASSES) == [AnchorPositions().first] * len(CLASSES)
    assert SharedPosition(50.0).of(CLASSES[:2]) == [50.0, 50.0]


def test_the_kind_alone() -> None:
    positions = KindPositions().of(CLASSES)
    kinds = {each.kind: position for each, position in zip(CLASSES, positions, strict=True)}
    assert len(set(positions)) == len(kinds) == 3
    assert positions == [kinds[each.kind] for each in CLASSES]
    assert set(positions) < set(KNOWN)


def test_the_order_is_another_one_each_time_and_follows_the_seed() -> None:
    one, same, other = RandomOrderPositions(1), RandomOrderPositions(1), RandomOrderPositions(2)
    dealt = [one.of(CLASSES) for _ in range(20)]
    assert dealt == [same.of(CLASSES) for _ in range(20)] != [other.of(CLASSES) for _ in range(20)]
    assert all(sorted(each) == sorted(KNOWN) for each in dealt)
    assert len(set(map(tuple, dealt))) == 20
    assert all(len({each[number] for each in dealt}) > 4 for number in range(len(CLASSES)))


def test_none_of_them_needs_an_anchor() -> None:
    arms: tuple[Positions, ...] = (SharedPosition(), KindPositions(), RandomOrderPositions(), AnchorPositions())
    assert all(each.of([]) == [] for each in arms)
