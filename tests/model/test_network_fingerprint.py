from pathlib import Path

import pytest
import torch

from model.audio.log_mel import LogMel
from model.conditions.clip import ClipImageEncoder
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.umt5 import UMT5TextEncoder
from model.conditions.wan_codec import WanCodec
from model.conditions.words import WordEmbedding
from model.network_fingerprint import network_fingerprint
from tests.model.tiny_wan import clip, clip_processor, tokenizer, umt5, vae


class Network:
    pass


class Other:
    pass


def test_class_settings_and_every_weight_count() -> None:
    weights = {"a": torch.arange(4.0), "b": torch.zeros(2, dtype=torch.bfloat16), "c": torch.tensor(3)}
    first = network_fingerprint(Network(), {"size": 3}, weights)
    assert network_fingerprint(Network(), {"size": 3}, dict(reversed(weights.items()))) == first
    changed = [
        network_fingerprint(Other(), {"size": 3}, weights),
        network_fingerprint(Network(), {"size": 4}, weights),
        network_fingerprint(Network(), {"size": 3}, {**weights, "a": torch.tensor([0.0, 1.0, 2.0, 3.0000002])}),
        network_fingerprint(Network(), {"size": 3}, {**weights, "a": torch.arange(4.0).reshape(2, 2)}),
        network_fingerprint(Network(), {"size": 3}, {**weights, "b": torch.zeros(2, dtype=torch.float16)}),
        network_fingerprint(Network(), {"size": 3}),
    ]
    assert len({first, *changed}) == 7


def test_who_wrote_the_settings_does_not_count() -> None:
    assert network_fingerprint(Network(), {"size": (3, 4), "_diffusers_version": "1", "dtype": torch.float32}) == network_fingerprint(
        Network(), {"size": [3, 4], "_diffusers_version": "2"}
    )


@pytest.mark.parametrize(
    ("build", "load"),
    [
        (lambda: WanCodec(vae()), WanCodec.load),
        (lambda: UMT5TextEncoder(umt5(), tokenizer(), length=20), lambda folder: UMT5TextEncoder.load(folder, length=20)),
        (lambda: ClipImageEncoder(clip(), clip_processor()), ClipImageEncoder.load),
        (lambda: PixelUnshuffleCodec(2, 4), PixelUnshuffleCodec.load),
        (lambda: LogMel(40), LogMel.load),
    ],
    ids=["vae", "umt5", "clip", "pixels", "mel"],
)
def test_a_network_that_was_written_and_read_is_the_same(build, load, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    network = build()
    network.save(tmp_path / "part")
    assert load(tmp_path / "part").fingerprint == network.fingerprint


def test_other_networks_are_others() -> None:
    changed = vae()
    with torch.no_grad():
        next(changed.parameters()).view(-1)[0] += 1e-3
    parts = [WanCodec(vae()), WanCodec(changed), PixelUnshuffleCodec(2, 4), PixelUnshuffleCodec(4, 2), LogMel(80), LogMel(40)]
    assert len({part.fingerprint for part in parts}) == len(parts)  # type: ignore[attr-defined]


def test_what_is_trained_has_no_fingerprint() -> None:
    assert WordEmbedding(8).fingerprint is None
