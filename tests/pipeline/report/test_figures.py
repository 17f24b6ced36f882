import io
from typing import Any

import pytest
from matplotlib.axes import Axes
from PIL import Image

from pipeline.refine.verdicts import Verdict
from pipeline.report.figures import draw_overview
from pipeline.report.overview import Overview
from pipeline.report.style import bins
from schemas.vocabulary import AnchorKind, Expression
from tests.pipeline.report.drawn_tables import anchors, characters, clips, problem, shots, tracks, verdict, verdicts


def drawn() -> Overview:
    overview = Overview()
    overview.add(shots(), tracks(), characters(), anchors(), clips())
    return overview


def judged_overview(*answers: Verdict) -> Overview:
    overview = drawn()
    overview.verdicts.add(answers)
    return overview


@pytest.mark.parametrize(
    ("overview", "judge"),
    [(drawn(), set()), (Overview(), set()), (judged_overview(*verdicts()), {"verdicts"}), (judged_overview(problem(1)), {"verdicts"})],
    ids=["people", "nobody", "judged", "nothing answered"],
)
def test_every_figure_is_a_picture(overview: Overview, judge: set[str]) -> None:
    figures = draw_overview(overview)
    assert set(figures) == {"bins", "angles", "expressions", "funnel"} | judge
    for png in figures.values():
        picture = Image.open(io.BytesIO(png))
        assert picture.format == "PNG"
        assert min(picture.size) > 200


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert draw_overview(judged_overview(*verdicts())) == draw_overview(judged_overview(*verdicts()))


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> dict[str, Axes]:
    """Everything that is drawn, by its title."""
    found: dict[str, Axes] = {}
    set_title = Axes.set_title

    def remember(self: Axes, label: str, **options: Any) -> Any:
        found[label] = self
        return set_title(self, label, **options)

    monkeypatch.setattr(Axes, "set_title", remember)
    return found


def test_counts_of_answers_stand_where_the_judges_class_meets_the_classifiers(panels: dict[str, Axes]) -> None:
    draw_overview(judged_overview(*verdicts(), verdict(8)))
    axes = panels["Expressions: the same class in 2 of 4"]
    rows, columns = ([label.get_text() for label in labels] for labels in (axes.get_yticklabels(), axes.get_xticklabels()))
    assert rows == Expression.words()
    cells = {(rows[round(text.get_position()[1])], columns[round(text.get_position()[0])]): text.get_text() for text in axes.texts}
    assert cells == {("happy", "happy"): "2", ("happy", "neutral"): "1", ("sad", "unclear"): "1"}
    assert [text.get_text() for text in panels["Viewpoints: the same class in 1 of 1"].texts] == ["1"]


def test_pending_anchors_stand_on_the_accepted_ones(panels: dict[str, Axes]) -> None:
    overview = drawn()
    overview.pending[AnchorKind.VIEWPOINT, "front"] = 3
    overview.pending[AnchorKind.EXPRESSION, "sad"] = 2
    draw_overview(overview)
    (axes,) = (axes for title, axes in panels.items() if title.startswith("Anchors per bin"))
    assert axes.get_ylabel() == "anchors (dashed: pending)"
    tops: Any = axes.containers[1]
    front, sad = (tops.patches[bins().index(bin_)] for bin_ in overview.pending)
    assert [(bar.get_y(), bar.get_height()) for bar in (front, sad)] == [(1, 3), (0, 2)]
    labels = [text.get_text() for text in axes.texts]
    assert [labels[bins().index(bin_)] for bin_ in ((AnchorKind.GLOBAL, None), *overview.pending, (AnchorKind.EXPRESSION, "fear"))] == [
        "2\n1 ch.",
        "1\n+3\n1 ch.",
        "+2",
        "0",
    ]


def test_the_last_step_of_the_waterfalls_is_the_judge(panels: dict[str, Axes]) -> None:
    overview = drawn()
    overview.pending[AnchorKind.VIEWPOINT, "front"] = 3
    draw_overview(overview)
    widths = [patch.get_x() + patch.get_width() for patch in panels["viewpoint"].patches]  # type: ignore[attr-defined]
    assert (widths[0], widths[-1]) == (5 + 3, 3)
    assert [label.get_text() for label in panels["global"].get_yticklabels()][-2:] == ["pending", "anchors"]


def test_the_waterfalls_end_at_the_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    ends: dict[str, list[float]] = {}
    set_title = Axes.set_title

    def remember(self: Axes, label: str, **options: Any) -> Any:
        ends[label] = [patch.get_x() + patch.get_width() for patch in self.patches]  # type: ignore[attr-defined]
        return set_title(self, label, **options)

    monkeypatch.setattr(Axes, "set_title", remember)
    draw_overview(drawn())
    assert {kind: (ends[kind][0], ends[kind][-1]) for kind in ("global", "viewpoint", "expression")} == {
        "global": (5, 2),
        "viewpoint": (5, 3),
        "expression": (5, 1),
    }
