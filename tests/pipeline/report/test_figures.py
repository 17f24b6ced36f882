import io
from typing import Any

import pytest
from matplotlib.axes import Axes
from PIL import Image

from pipeline.report.figures import draw_overview
from pipeline.report.overview import Overview
from tests.pipeline.report.drawn_tables import anchors, characters, clips, shots, tracks


def drawn() -> Overview:
    overview = Overview()
    overview.add(shots(), tracks(), characters(), anchors(), clips())
    return overview


@pytest.mark.parametrize("overview", [drawn(), Overview()], ids=["people", "nobody"])
def test_every_figure_is_a_picture(overview: Overview) -> None:
    figures = draw_overview(overview)
    assert set(figures) == {"bins", "angles", "expressions", "funnel"}
    for png in figures.values():
        picture = Image.open(io.BytesIO(png))
        assert picture.format == "PNG"
        assert min(picture.size) > 200


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert draw_overview(drawn()) == draw_overview(drawn())


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
