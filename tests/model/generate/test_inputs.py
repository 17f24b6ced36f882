"""What a video is made from, against the same thing done whole, by hand or by NumPy."""

import math
import wave
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from model.audio.log_mel import LogMel
from model.audio.waveform import Waveform
from model.audio.windows import audio_windows, silence_vector
from model.checkpoint import Checkpoint, load_transformer
from model.conditions.wan_codec import WanCodec
from model.create import create_tiny
from model.errors import ModelInputError
from model.generate.anchor_pictures import AnchorPicture
from model.generate.inputs import PROMPTS_READY, Hearing, Words, choose_size, encode_anchors, read_image, to_frames
from model.generate.options import Size
from model.generate.plan import ChunkPlan
from model.positions import AnchorClass, AnchorPositions
from tests.model.tiny_wan import LOOKING, stock, vae

RATE = 16_000

# size


@pytest.mark.parametrize(
    ("size", "multiple", "area", "like", "found"),
    [
        (Size(), 16, 832 * 480, None, (832, 480)),  # what Wan 2.1 is made for
        (Size(), 32, 1280 * 704, None, (1248, 704)),
        (Size(), 8, 64 * 64, None, (80, 48)),
        (Size(), 16, 832 * 480, (480, 832), (480, 832)),
        (Size(), 16, 832 * 480, (1920, 1080), (832, 464)),  # 842.5 x 473.9
        (Size(), 16, 832 * 480, (1024, 1024), (624, 624)),  # 631.9
        (Size(), 16, 832 * 480, (320, 200), (320, 192)),  # small pictures are not enlarged
        (Size(), 16, 832 * 480, (10, 10), (16, 16)),
        (Size(width=640, height=352), 16, 1, (10, 10), (640, 352)),  # what is asked for is done
        (Size(width=416), 16, 1, None, (416, 240)),
        (Size(height=240), 16, 1, None, (416, 240)),
        (Size(width=512), 16, 1, (300, 300), (512, 512)),
        (Size(height=512), 16, 1, (200, 300), (336, 512)),  # 341.3
    ],
)
def test_sizes(size: Size, multiple: int, area: int, like: tuple[int, int] | None, found: tuple[int, int]) -> None:
    assert choose_size(size, multiple, area, like) == found


@given(st.sampled_from([8, 16, 32]), st.integers(64 * 64, 1280 * 704), st.tuples(st.integers(64, 4000), st.integers(64, 4000)))
def test_a_size_that_nobody_asked_for_keeps_the_shape_and_the_area(multiple: int, area: int, like: tuple[int, int]) -> None:
    width, height = choose_size(Size(), multiple, area, like)
    assert width % multiple == height % multiple == 0
    assert min(width, height) >= multiple
    scale = min(1.0, math.sqrt(area / (like[0] * like[1])))
    for side, old in ((width, like[0]), (height, like[1])):
        assert side == multiple or -1e-4 < old * scale - side < multiple
    if min(width, height) > multiple:
        assert width * height <= area * (1 + 1e-4)


@pytest.mark.parametrize(
    ("size", "like", "said"),
    [
        (Size(width=830, height=480), None, "width 830 is not a multiple of 16, which this network needs; take 816 or 832"),
        (Size(width=832, height=481), None, "height 481 is not a multiple of 16, which this network needs; take 480 or 496"),
        (Size(width=0), None, "width 0 is not a multiple of 16.*take 16 or 32"),
        (Size(height=0), None, "(width|height) 0 is not a multiple of 16"),
        (Size(width=-32, height=32), None, "width -32 is not a multiple of 16"),
        (Size(width=8), None, "width 8 is not a multiple of 16"),
        (Size(width=16), (160, 30), "height 0 is not a multiple of 16"),
    ],
)
def test_sizes_that_the_network_cannot_make_are_told(size: Size, like: tuple[int, int] | None, said: str) -> None:
    with pytest.raises(ModelInputError, match=said):
        choose_size(size, 16, 832 * 480, like)


# pictures


def picture(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_a_picture_is_turned_as_it_is_meant_to_be_seen(orientation: int, turns: int, tmp_path: Path) -> None:
    stored = picture(9, 5)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "turned.png", exif=exif)
    found = read_image(tmp_path / "turned.png")
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.rot90(stored, turns))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_any_kind_of_picture_becomes_rgb(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (7, 4)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (4, 7, 3)


def test_pictures_that_cannot_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelInputError, match=r"--image .*none\.png: there is no such file"):
        read_image(tmp_path / "none.png")
    (tmp_path / "words.png").write_text("not a picture")
    Image.fromarray(picture(64, 64)).save(tmp_path / "whole.png")
    (tmp_path / "half.png").write_bytes((tmp_path / "whole.png").read_bytes()[:3000])
    for name in ("words.png", "half.png", "."):
        with pytest.raises(ModelInputError, match=r"is not a picture that can be read .*give a JPEG or PNG"):
            read_image(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ModelInputError, match=r"is not a picture that can be read .*exceeds limit"):
        read_image(tmp_path / "whole.png")


def test_frames_are_pictures_in_minus_one_to_one() -> None:
    pictures = [picture(6, 4, seed) for seed in (0, 1)]
    pictures[0][0, 0], pictures[0][0, 1] = (0, 255, 0), (255, 0, 255)
    frames = to_frames(pictures)
    assert frames.shape == (2, 3, 4, 6)
    assert frames[0, :, 0, 0].tolist() == [-1, 1, -1]
    assert frames[0, :, 0, 1].tolist() == [1, -1, 1]
    assert np.array_equal(((frames + 1) * 127.5).round().permute(0, 2, 3, 1).numpy(), np.stack(pictures))


# anchors


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return create_tiny(0)


def anchor(kind: str, subclass: str | None = None, seed: int = 0, width: int = 32, height: int = 16) -> AnchorPicture:
    return AnchorPicture(AnchorClass.from_words(kind, subclass), picture(width, height, seed), f"{kind} {subclass}", None)


def test_an_anchor_is_encoded_as_a_first_frame(tiny: Checkpoint) -> None:
    pictures = [anchor("global", seed=1), anchor("viewpoint", "left", seed=2), anchor("expression", "happy", seed=3)]
    found = encode_anchors(pictures, tiny, 32, 16, "cpu")
    assert found is not None
    assert found.latents.shape == (1, 48, 3, 8, 16)
    assert not found.latents.requires_grad
    for number, one in enumerate(pictures):
        film = to_frames([one.rgb, *(picture(32, 16, seed) for seed in range(10, 14))])  # whatever comes after it
        encoded = tiny.codec.encode(film.transpose(0, 1)[None])
        assert torch.equal(found.latents[:, :, number], encoded[:, :, 0])
    assert found.positions.dtype == torch.float64
    assert found.positions.tolist() == [AnchorPositions().of([one.anchor for one in pictures])]
    assert found.names == ("global", "viewpoint left", "expression happy")


def test_an_anchor_beside_is_a_given_first_frame(tiny: Checkpoint, tmp_path: Path) -> None:
    """36 channels: its latent, a mask of ones, its latent again, as Wan's own VAE makes it."""
    stock(**LOOKING).save_pretrained(tmp_path)
    codec = WanCodec(vae())
    checkpoint = Checkpoint(load_transformer(tmp_path), codec, tiny.text_encoder, None, tiny.audio_features, tiny.sampling)
    one = anchor("global", seed=1)
    found = encode_anchors([one, anchor("viewpoint", "back", seed=2)], checkpoint, 32, 16, "cpu")
    assert found is not None
    latent = codec.encode(torch.cat([to_frames([one.rgb])[:, :, None], torch.zeros(1, 3, 4, 16, 32)], dim=2))[:, :, 0]
    assert found.latents.shape == (1, 36, 2, 2, 4)
    torch.testing.assert_close(found.latents[:, :16, 0], latent, rtol=0, atol=1e-6)
    assert found.latents[:, 16:20].eq(1).all()
    assert torch.equal(found.latents[:, 20:], found.latents[:, :16])


def test_anchors_of_one_class_stand_apart(tiny: Checkpoint) -> None:
    found = encode_anchors([anchor("expression", "sad", seed=seed) for seed in range(2)] + [anchor("global")], tiny, 32, 16, "cpu")
    assert found is not None
    assert found.names == ("expression sad", "expression sad", "global")
    first, second, _ = found.positions[0].tolist()
    assert second - first == AnchorPositions().repeat_step


def test_anchors_are_made_the_size_of_the_video(tiny: Checkpoint) -> None:
    found = encode_anchors([anchor("global", width=64, height=32)], tiny, 32, 16, "cpu")
    assert found is not None
    halved = np.asarray(Image.fromarray(picture(64, 32)).resize((32, 16), Image.Resampling.LANCZOS))
    assert torch.equal(found.latents, tiny.codec.encode(to_frames([halved])[:, :, None]))


def test_anchors_that_cannot_be_used_are_told(tiny: Checkpoint) -> None:
    assert encode_anchors([], tiny, 32, 16, "cpu") is None
    with pytest.raises(ModelInputError, match="--anchors: more than 4 anchors of class expression sad; leave some out"):
        encode_anchors([anchor("expression", "sad", seed=seed) for seed in range(5)], tiny, 32, 16, "cpu")
    with pytest.raises(ModelInputError, match="viewpoint left is 16x32: to fill a video of 32x16, 75% of it would be cropped away"):
        encode_anchors([anchor("viewpoint", "left", width=16, height=32)], tiny, 32, 16, "cpu")


# words


class Counting:
    """A text encoder that keeps count."""

    dim, length, fingerprint = 2, 3, "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, prompts: list[str]) -> Tensor:
        self.asked += prompts
        return torch.full((len(prompts), self.length, self.dim), float(len(self.asked)), requires_grad=True) * 1

    def to(self, device: Any, dtype: Any = None) -> "Counting":  # noqa: ARG002
        return self

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def test_prompts_are_embedded_once_and_a_few_are_ready() -> None:
    encoder = Counting()
    prompts = ["rain", "", *(f"prompt {number}" for number in range(3 * PROMPTS_READY)), "rain"]
    words = Words(encoder, prompts, "cpu", torch.float32)
    assert sorted(encoder.asked) == sorted(set(prompts))
    first = words("rain")
    assert words("rain") is first  # the object, by which a cache of anchors knows the text
    assert first.shape == (1, 3, 2)
    assert not first.requires_grad
    for number in range(3 * PROMPTS_READY):
        words(f"prompt {number}")
        assert words("rain") is first  # used in between, so kept
    assert len(encoder.asked) == len(set(prompts))


# sound


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 seconds of noise that swells, not a whole number of vectors."""
    path = tmp_path_factory.mktemp("sound") / "noise.wav"
    count = 40 * RATE + 77
    noise = np.random.default_rng(0).normal(size=count) * np.linspace(100, 6000, count)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, count, "NONE", ""))
        file.writeframes(noise.clip(-32768, 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize(
    "plan",
    [
        ChunkPlan(40 * 16),
        ChunkPlan(50 * 24, Fraction(24), latents=31),  # longer than the sound
        ChunkPlan(300, Fraction(30_000, 1001), latents=4, prefix=1),
        ChunkPlan(100, Fraction(25, 2), latents=6, prefix=3, temporal_factor=1),
    ],
    ids=["wan 2.1", "wan 2.2", "ntsc", "every frame"],
)
def test_every_chunk_hears_what_it_would_hear_in_the_whole(sound: Path, plan: ChunkPlan) -> None:
    features = LogMel()
    with Waveform.open(sound) as waveform:
        whole = features.extract(waveform.read(0, waveform.samples), RATE)
        hearing = Hearing(waveform, features, plan, 25, "cpu")
        assert len(plan) > 2
        for chunk in plan:
            heard = hearing(chunk)
            cut = (chunk.first, plan.latents, plan.temporal_factor, float(plan.rate))
            assert heard.shape == (1, plan.latents, 25, 80)
            assert torch.equal(heard[0], audio_windows(whole, 0, silence_vector(features), *cut))
    assert whole.std() > 0.05


def test_only_a_chunk_of_sound_is_ever_read(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, asked = ChunkPlan(40 * 16, latents=9), list[int]()
    read = Waveform.read

    def count(self: Waveform, start_sample: int, samples: int) -> Tensor:
        asked.append(samples)
        return read(self, start_sample, samples)

    with Waveform.open(sound) as waveform:
        monkeypatch.setattr(Waveform, "read", count)
        hearing = Hearing(waveform, LogMel(), plan, 25, "cpu")
        for chunk in plan:
            hearing(chunk)
    assert len(asked) == len(plan)
    assert max(asked) < RATE * (plan.length / 16 + 1)


def test_what_shared_frames_hear_does_not_depend_on_the_chunk(sound: Path) -> None:
    """The last latents of a chunk and the first of the next stand for the same time, but the first of all for one frame of it."""
    plan = ChunkPlan(300, latents=9, prefix=3)
    with Waveform.open(sound) as waveform:
        hearing = Hearing(waveform, LogMel(), plan, 25, "cpu")
        heard = [hearing(chunk)[0] for chunk in plan]
    for before, after in pairwise(heard):
        assert torch.equal(before[-2:], after[1:3])
