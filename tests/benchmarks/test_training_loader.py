import json
import os
from pathlib import Path

import pytest

from benchmarks.training_loader import ANCHORS, FRAMES, HEIGHT, WIDTH, draw_shards, everything, main, proportional_set_size
from training.data.index import read_index
from training.data.places import Place


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shards(tmp_path_factory.mktemp("shards"), 4)


def test_the_loader_decodes_all_that_bare_reading_decodes(shards: Path, tmp_path: Path) -> None:
    dataset = everything(read_index([str(shards)]), tmp_path)
    (sample,) = dataset[Place(0, 0)].samples
    assert sample.frames is not None
    assert sample.anchor_frames is not None
    assert sample.waveform is not None
    assert sample.frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert len(sample.anchor_frames) == ANCHORS


def test_the_figures(shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "loader.json"
    main(["--shards", str(shards), "--workers", "1", "--rounds", "1", "--epochs", "2", "--out", str(out)])
    figures = json.loads(out.read_text())
    assert figures["samples"] == 4
    assert figures["ratio"] == pytest.approx(figures["loader_samples_per_second"] / figures["bare_samples_per_second"])
    assert len(figures["megabytes"]) == 2
    assert "loader over bare" in capsys.readouterr().out


def test_memory_that_is_taken_is_seen() -> None:
    before = proportional_set_size(os.getpid())
    taken = bytearray(b"x" * (64 << 20))
    assert 50 < proportional_set_size(os.getpid()) - before < 90
    assert len(taken) == 64 << 20
