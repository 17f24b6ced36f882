"""What is drawn follows from what was recorded; what it looks like is for eyes."""

import io
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

from model.attention_log import ChunkAttention, append, latent_seconds
from model.attention_plot import course, draw, png
from model.errors import ModelInputError
from schemas.vocabulary import AnchorKind

NAMES = ["global", "viewpoint left", "expression happy 1", "expression happy 2"]
LATENTS, PREFIX, FACTOR, RATE = 5, 2, 4, Fraction(16)


def chunks(count: int, shares: tuple[float, ...] = (0.2, 0.1, 0.05, 0.05), prompt_from: int = 3) -> list[ChunkAttention]:
    rows = []
    for number in range(count):
        first = number * FACTOR * (LATENTS - PREFIX)
        mass = torch.tensor(shares).double() * (1 + 0.1 * number) / (1 + 0.1 * count)
        masses = torch.cat([mass, 1 - mass.sum(0, keepdim=True)]).expand(LATENTS, -1)
        prompt = "she waits" if number < prompt_from else "she laughs"
        rows.append(ChunkAttention.of(number, first, latent_seconds(first, LATENTS, FACTOR, RATE), NAMES, masses, prompt))
    return rows


def picture(path: Path) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))


def recorded(path: Path, rows: list[ChunkAttention]) -> Path:
    for row in rows:
        append(path, row)
    return path


def test_what_chunks_share_counts_once() -> None:
    shown = course(chunks(4))
    frames = 1 + FACTOR * (LATENTS - 1) + 3 * FACTOR * (LATENTS - PREFIX)
    assert len(shown.seconds) == 1 + (frames - 1) // FACTOR
    assert np.allclose(np.diff(shown.seconds[1:]), 0.25)
    assert shown.kinds == [AnchorKind.GLOBAL, AnchorKind.VIEWPOINT, AnchorKind.EXPRESSION, AnchorKind.EXPRESSION]
    assert shown.chunk_mass[2] == pytest.approx(np.array([0.2, 0.1, 0.05, 0.05]) * 1.2 / 1.4, abs=1e-6)
    assert [prompt for _, prompt in shown.prompts] == ["she waits", "she laughs"]
    first_new = 3 * FACTOR * (LATENTS - PREFIX) + FACTOR * PREFIX  # the last frame of the first latent that chunk 3 made itself
    assert shown.prompts[1][0] == pytest.approx((first_new + 1 - FACTOR / 2) / 16)


@pytest.mark.parametrize("lost", [[1], [0, 1], [1, 2, 4]], ids=["one", "the first", "several"])
def test_where_a_chunk_was_not_recorded_there_is_nothing(lost: list[int]) -> None:
    whole, shown = course(chunks(6)), course([row for row in chunks(6) if row.chunk not in lost])
    assert np.flatnonzero(np.isnan(shown.chunk_mass).all(axis=1)).tolist() == lost
    kept = [number for number in range(6) if number not in lost]
    assert np.allclose(shown.chunk_mass[kept], whole.chunk_mass[kept])
    assert np.allclose(shown.chunk_seconds, whole.chunk_seconds, atol=0.5)
    for times in (shown.seconds, shown.chunk_seconds):
        assert times[0] > -1e-9
        assert (np.diff(times) > 0).all()
    there = np.isfinite(shown.mass).all(axis=1)
    rows = [row for row in chunks(6) if row.chunk in kept]
    assert {second for row in rows for second in row.seconds[PREFIX:]} <= set(shown.seconds[there])
    between = [(before.seconds[-1], after.seconds[0]) for before, after in pairwise(rows) if after.chunk > before.chunk + 1]
    assert all(((shown.seconds > low) & (shown.seconds < high) & ~there).any() for low, high in between)


def test_lines_end_where_a_chunk_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []
    plot = Axes.plot

    def see(axes: Axes, x: np.ndarray, y: np.ndarray, *form: str, **style: Any) -> Any:
        drawn.append(y)
        return plot(axes, x, y, *form, **style)

    monkeypatch.setattr(Axes, "plot", see)
    shown = course([row for row in chunks(20) if row.chunk not in {4, 6}])
    png(shown)
    lines = [y for y in drawn if len(y) == 20]
    assert len(lines) == len(NAMES)
    assert all(np.flatnonzero(np.isnan(y)).tolist() == [4, 6] for y in lines)
    assert [y.tolist() for y in drawn if len(y) == 1] == [[share] for share in shown.chunk_mass[5]]  # what no line joins to anything is a point


@pytest.mark.parametrize("count", [1, 4, 20], ids=["one chunk", "short", "long"])
def test_it_is_drawn_in_ink_on_paper(tmp_path: Path, count: int) -> None:
    out = draw(recorded(tmp_path / "attention.jsonl", chunks(count)), tmp_path / "attention.png")
    drawn = picture(out)
    assert drawn.shape[1] == 1625
    assert 0.5 < np.mean(drawn.min(axis=2) == 255) < 0.97


def test_other_figures_give_another_picture_and_far_apart_ones_are_logarithmic(tmp_path: Path) -> None:
    rows = {"even": (0.2, 0.1, 0.05, 0.05), "apart": (0.5, 0.1, 0.001, 0.0005), "nothing": (0.5, 0.1, 0.1, 0.0)}
    drawn = {name: draw(recorded(tmp_path / f"{name}.jsonl", chunks(5, shares)), tmp_path / f"{name}.png").read_bytes() for name, shares in rows.items()}
    assert len(set(drawn.values())) == 3
    again = draw(tmp_path / "even.jsonl", tmp_path / "again.png").read_bytes()
    assert again == drawn["even"]


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    path = tmp_path / "attention.jsonl"
    path.touch()
    with pytest.raises(ModelInputError, match="tells of no chunk"):
        draw(path, tmp_path / "out.png")
    append(path, ChunkAttention(0, 0, [0.0], [], [[]], [1.0]))
    with pytest.raises(ModelInputError, match="tells of no anchors"):
        draw(path, tmp_path / "out.png")
    recorded(path, chunks(1))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[::-1]))
    with pytest.raises(ModelInputError, match="several sets of anchors"):
        draw(path, tmp_path / "out.png")
