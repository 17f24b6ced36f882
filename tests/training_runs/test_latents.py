"""Trained on latents that were computed ahead, the network learns what it learns from pixels, to the bit."""

from pathlib import Path

from tests.training_runs import results
from tests.training_runs.commands import train
from tests.training_runs.made_training import Made


def test_latents_are_as_good_as_pixels(made: Made, latents: Path, tmp_path: Path) -> None:
    """Of whole clips: a part that is cut out of latents begins with one of several frames, as a codec's latents behind the first are."""
    words = ("--shards", latents, "--data.frames", 13)
    pixels, ahead = train(*made.words(tmp_path / "pixels", *words, "--data.source", "pixels")), train(*made.words(tmp_path / "ahead", *words))
    assert (pixels.code, ahead.code) == (0, 0)
    assert "read as pixels" in pixels.told
    assert "read as latents" in ahead.told
    assert results.losses(tmp_path / "pixels") == results.losses(tmp_path / "ahead")
    assert results.same(results.weights(tmp_path / "pixels"), results.weights(tmp_path / "ahead"))
