import random
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.pack.options import PackOptions
from pipeline.pack.superset import draw_superset, is_inside
from schemas.vocabulary import Expression, Viewpoint
from tests.pipeline.pack.rows import anchor_row, clip_row

BINS = [("global", None), *(("viewpoint", word) for word in Viewpoint.words()), *(("expression", word) for word in Expression.words())]


def anchors_at(times: list[int], bins: list[tuple[str, str | None]] = BINS) -> list[dict[str, Any]]:
    return [anchor_row(f"{kind}-{subclass}-{time}", time, kind, subclass) for time in times for kind, subclass in bins]


def test_the_span_is_half_open() -> None:
    clip = clip_row("c", 100, end_ns=200)
    assert [is_inside(clip, {"pts_ns": time}) for time in (99, 100, 199, 200)] == [False, True, True, False]


def test_caps_hold_and_every_bin_gets_its_turn() -> None:
    anchors = anchors_at([0, 150, 160, 300, 400])
    drawn = draw_superset(clip_row("c", 100, end_ns=200), anchors, PackOptions(global_anchors=1, viewpoint_anchors=3, expression_anchors=2, max_anchors=99))
    bins = Counter((anchor["kind"], anchor["subclass"]) for anchor in drawn)
    assert bins == {bin_: {"global": 1, "viewpoint": 3, "expression": 2}[bin_[0]] for bin_ in BINS}
    fewer = draw_superset(clip_row("c", 100, end_ns=200), anchors, PackOptions(max_anchors=len(BINS)))
    assert len({(anchor["kind"], anchor["subclass"]) for anchor in fewer}) == len(BINS)


def test_a_cap_of_zero_leaves_a_kind_out() -> None:
    drawn = draw_superset(clip_row("c", 100, end_ns=200), anchors_at([0, 150]), PackOptions(expression_anchors=0, global_anchors=0))
    assert {anchor["kind"] for anchor in drawn} == {"viewpoint"}


def test_other_characters_stay_out() -> None:
    anchors = [anchor_row("mine", 0), anchor_row("theirs", 0, character_id="other"), anchor_row("nobodys", 0, character_id=None)]
    assert [anchor["anchor_id"] for anchor in draw_superset(clip_row("c", 100), anchors, PackOptions())] == ["mine"]


@given(
    st.integers(0, 1000), st.lists(st.integers(100, 199), max_size=8, unique=True), st.lists(st.integers(200, 400), max_size=2, unique=True), st.integers(1, 5)
)
def test_one_is_from_outside_whenever_there_is_one(seed: int, inside: list[int], outside: list[int], most: int) -> None:
    rng = random.Random(seed)
    anchors = [anchor_row(f"a{time}", time, *rng.choice(BINS)) for time in inside + outside]
    clip = clip_row(f"c{seed}", 100, end_ns=200)
    options = PackOptions(seed=seed, global_anchors=1, viewpoint_anchors=1, expression_anchors=1, max_anchors=most)
    drawn = draw_superset(clip, anchors, options)
    assert any(not is_inside(clip, anchor) for anchor in drawn) == bool(outside)
    assert len(drawn) <= most
    assert max(Counter((anchor["kind"], anchor["subclass"]) for anchor in drawn).values(), default=0) <= 1
    assert len({anchor["anchor_id"] for anchor in drawn}) == len(drawn)


def test_the_draw_depends_on_seed_and_clip_and_not_on_order() -> None:
    anchors = anchors_at(list(range(0, 1000, 50)))
    clip = clip_row("c", 100, end_ns=200)
    drawn = draw_superset(clip, anchors, PackOptions(seed=1))
    shuffled = random.Random(0).sample(anchors, len(anchors))
    assert draw_superset(clip, shuffled, PackOptions(seed=1)) == drawn
    assert draw_superset(clip, anchors, PackOptions(seed=2)) != drawn
    assert draw_superset(clip_row("d", 100, end_ns=200), anchors, PackOptions(seed=1)) != drawn


def test_the_draw_is_fair() -> None:
    anchors = [anchor_row(f"a{time}", time) for time in range(10)]
    options = PackOptions(global_anchors=1)
    counts = Counter(draw_superset(clip_row(f"c{n}", 1000), anchors, options)[0]["anchor_id"] for n in range(2000))
    assert len(counts) == 10
    assert all(140 < count < 260 for count in counts.values())  # 200 expected, standard deviation 13.4
