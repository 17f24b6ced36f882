"""Latents that do not fit their sample, or are not what the index says, are found."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.pack.check_latents import check_latents
from schemas.latents import Latents, LatentsKey
from schemas.sample import Sample
from tests.pipeline.pack.made_samples import made_sample

KEY = LatentsKey("codec", "text", "audio", None, 3072)
NOTE = KEY.to_json().encode()


def sample_with(caption: str | None = None, note: bytes | None = NOTE, **changes: Any) -> tuple[Sample, bytes | None]:
    """A sample of 4 frames with two anchors and sound."""
    tensors: dict[str, Any] = {
        "video": np.zeros((4, 1, 6, 8), np.float16),
        "anchors": np.zeros((2, 4, 6, 8), np.float16),
        "text": None if caption is None else np.zeros((3, 5), np.float16),
        "audio": np.zeros((13, 80), np.float32),
        "picture": None,
        "key": KEY,
    }
    sample = made_sample("a")
    latents = Latents(**(tensors | changes))
    return replace(sample, metadata=replace(sample.metadata, latents=True, caption=caption), latents=latents.to_bytes()), note


def test_latents_that_fit_have_no_problems() -> None:
    assert list(check_latents(*sample_with())) == []
    assert list(check_latents(*sample_with(caption="she smiles"))) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"video": np.zeros((4, 5, 6, 8), np.float16)}, "the latents have 5 frames, the clip has 4"),
        ({"video": np.zeros((4, 6, 8), np.float16)}, r"the latents' video has the shape \(4, 6, 8\), not one of 4 dimensions"),
        ({"video": np.full((4, 1, 6, 8), np.nan, np.float16)}, "the latents' video is not finite everywhere"),
        ({"anchors": np.zeros((1, 4, 6, 8), np.float16)}, "the latents are of 1 anchors, the sample has 2"),
        ({"anchors": None}, "the latents are of 0 anchors, the sample has 2"),
        ({"anchors": np.zeros((2, 4, 8, 6), np.float16)}, r"the anchors' latents are of \(4, 8, 6\), those of the video of \(4, 6, 8\)"),
        ({"audio": None}, "there are no audio features, the sample has sound"),
        ({"caption": "she smiles", "text": None}, "there is no embedding of a caption, the sample has one"),
        ({"text": np.zeros((3, 5), np.float16)}, "there is an embedding of a caption, the sample has none"),
        ({"key": replace(KEY, codec="other")}, "the latents are not those that the index speaks of: codec other instead of codec"),
        ({"note": None}, "the index does not say which networks they come from"),
        ({"note": b"{}"}, "does not say which networks the latents come from"),
    ],
)
def test_latents_that_do_not_fit_are_told(changes: dict[str, Any], problem: str) -> None:
    (found,) = check_latents(*sample_with(**changes))
    assert re.search(problem, found), found


def test_a_damaged_member_is_told() -> None:
    sample, note = sample_with()
    (found,) = check_latents(replace(sample, latents=b"damaged"), note)
    assert found.startswith("a.latents.safetensors was not written by this project, or is damaged")
