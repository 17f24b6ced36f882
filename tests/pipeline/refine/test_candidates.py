import numpy as np
import pytest

from pipeline.refine.candidates import DOUBT, Candidates, positions
from pipeline.refine.options import PolicyOptions
from schemas.vocabulary import AnchorKind
from tests.pipeline.refine.made_character import Seen, selected

HAPPY, SAD = 1, 2


def test_words_become_positions() -> None:
    table = selected([Seen(0, subclass="happy"), Seen(10, subclass=None, kind="global"), Seen(20, subclass="sad")])
    assert positions(table["subclass"], ["sad", "happy"]).tolist() == [1, 0, -1]


def test_candidates_are_those_chosen_and_those_good_enough() -> None:
    table = selected(
        [
            Seen(0, score=0.9),
            Seen(1, score=0.8),
            *(Seen(10 * number, score=0.7) for number in range(1, 5)),
            Seen(60, score=0.9, reason="blurred"),
            Seen(70, score=0.9, reason="no_character"),
            Seen(80, kind="global", subclass=None),
            Seen(90, kind="viewpoint", subclass="left"),
        ]
    )
    found = Candidates.of_kind(table, AnchorKind.EXPRESSION, PolicyOptions(least_confidence=0))
    assert [table["anchor_id"][row].as_py() for row in found.rows] == [f"expression-{second}" for second in (0, 10, 20, 30, 1, 40)]
    assert [table["selected_reason"][row].as_py() for row in found.rows] == [None, None, None, None, "too_close_in_time", "outranked"]
    assert found.chosen.tolist() == [True] * 4 + [False] * 2
    assert set(found.bins.tolist()) == {HAPPY}
    assert not found.doubtful.any()
    views = Candidates.of_kind(table, AnchorKind.VIEWPOINT, PolicyOptions())
    assert [views.classes[bin_] for bin_ in views.bins] == ["left"]
    scene = Candidates.of_kind(table, AnchorKind.GLOBAL, PolicyOptions())
    assert (len(scene), scene.classes, scene.bins.tolist()) == (1, ["front"], [0])


@pytest.mark.parametrize(("least_confidence", "names"), [(0.3, {"sad-at-least", "sad-above"}), (0.0, {"sad-below", "sad-at-least", "sad-above"}), (1.0, set())])
def test_doubtful_faces_are_candidates_of_the_class_they_lean_to(least_confidence: float, names: set[str]) -> None:
    confidences = {"sad-below": 0.29, "sad-at-least": 0.3, "sad-above": 1.0}
    rows = [Seen(10 * number, subclass="sad", reason="uncertain_expression", confidence=value) for number, value in enumerate(confidences.values())]
    found = Candidates.of_kind(selected(rows), AnchorKind.EXPRESSION, PolicyOptions(least_confidence=least_confidence))
    assert {list(confidences)[int(time // 10_000_000_000)] for time in found.pts_ns} == names
    assert found.doubtful.all()
    assert set(found.bins.tolist()) <= {SAD}


def test_a_doubtful_face_comes_after_one_that_select_was_sure_of_and_elsewhere_the_doubt_counts() -> None:
    table = selected([Seen(0, score=0.02), Seen(10, score=0.95, reason="uncertain_expression", confidence=0.4, quality=0.5)])
    found = Candidates.of_kind(table, AnchorKind.EXPRESSION, PolicyOptions())
    sure, doubtful = np.argsort(found.doubtful)
    assert 0 < found.scores[doubtful] < found.scores[sure]
    assert found.scores_elsewhere[doubtful] == pytest.approx(0.6 * 0.5 * DOUBT)


@pytest.mark.parametrize(("relabel_below", "may_move"), [(0.5, [True, False, False]), (0.0, [False, False, False]), (1.0, [True, True, True])])
def test_only_those_the_classifier_was_hardly_sure_of_compete_elsewhere(relabel_below: float, may_move: list[bool]) -> None:
    rows = [Seen(10 * number, confidence=value, score=0.9 - number / 10) for number, value in enumerate((0.49, 0.5, 0.99))]
    found = Candidates.of_kind(selected(rows), AnchorKind.EXPRESSION, PolicyOptions(relabel_below=relabel_below))
    assert (~np.isnan(found.scores_elsewhere)).tolist() == may_move


def test_what_was_judged_before_does_not_matter() -> None:
    table = selected([Seen(0), Seen(10, subclass="sad")])
    judged = table.set_column(table.schema.get_field_index("status"), "status", table["reason"])
    judged = judged.set_column(table.schema.get_field_index("subclass"), "subclass", table["likeliest"])
    before, after = (Candidates.of_kind(rows, AnchorKind.EXPRESSION, PolicyOptions()) for rows in (table, judged))
    assert (before.rows.tolist(), before.bins.tolist()) == (after.rows.tolist(), after.bins.tolist())


def test_nobody() -> None:
    assert [len(Candidates.of_kind(selected([]), kind, PolicyOptions())) for kind in AnchorKind] == [0, 0, 0]
