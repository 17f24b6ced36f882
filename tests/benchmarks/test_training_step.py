"""The figures of a training, and the samples it is measured on."""

from pathlib import Path

import pytest

from benchmarks import training_step
from benchmarks.latent_shards import write_latent_shards
from benchmarks.training_step import checkpoint_of, parse, samples, summary
from training.data.index import read_index


def test_a_slow_line_counts_for_its_time() -> None:
    lines = [{"overhead": 0.0, "seconds_per_step": 1.0}, {"overhead": 0.4, "seconds_per_step": 3.0}]
    assert summary(lines) == {"overhead": pytest.approx(0.3), "seconds_per_step": pytest.approx(2.5)}


def test_the_samples_are_what_the_network_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(training_step.SIZES, "tiny", (16, 8, 9))
    checkpoint = checkpoint_of("tiny")
    index = read_index([str(write_latent_shards(tmp_path / "shards", samples(checkpoint, "tiny", 3)))])
    assert (len(index), set(index.width), set(index.height), set(index.frame_count)) == (3, {16}, {8}, {9})
    assert index.has_latents.all()
    assert not index.has_pixels.any()


def test_defaults() -> None:
    options = parse([])
    assert (options.preset, options.device, options.batch, options.steps) == ("tiny", "cpu", 8, 35)
