from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint
from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.umt5 import UMT5TextEncoder
from model.conditions.wan_codec import WanCodec
from model.create import create_tiny
from model.samples.decode import decode_audio, decode_picture, decode_video
from model.samples.encode import (
    encode_anchors,
    encode_frames,
    encode_picture,
    encode_sample,
    encode_text,
    fitting_frames,
    latents_key,
    size_multiple,
)
from schemas.latents import Latents
from schemas.sample import SampleError
from tests.model.tiny_wan import image_to_video, text_to_video, tokenizer, umt5, vae
from tests.training.data.drawn_samples import drawn_sample

AREA = 32 * 32


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    return create_tiny(0)


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """With Wan's VAE, UMT5, CLIP."""
    return Checkpoint.load(image_to_video(tmp_path_factory.mktemp("wan") / "i2v"))


def test_a_codec_without_loss_gives_the_pixels_back() -> None:
    frames = torch.randint(0, 256, (9, 8, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    codec = PixelUnshuffleCodec(2, 4)
    latents = encode_frames(codec, frames)
    assert latents.shape == (48, 3, 4, 6)
    assert torch.equal(((codec.decode(latents[None])[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8), frames)


def test_an_anchor_is_encoded_as_a_video_of_one_frame_whatever_stands_beside_it() -> None:
    pictures = torch.randint(0, 256, (3, 16, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    codec = WanCodec(vae())
    latents = encode_anchors(codec, pictures)
    assert latents.shape == (3, 16, 2, 3)
    assert all(torch.equal(latents[number], encode_frames(codec, pictures[number : number + 1])[:, 0]) for number in range(3))
    assert torch.equal(encode_anchors(codec, pictures[1:2]), latents[1:2])


def test_a_caption_is_as_long_as_its_tokens() -> None:
    encoder = UMT5TextEncoder(umt5(), tokenizer(), length=20)
    padded = encoder.encode(["a woman laughs"])[0]
    tokens = encode_text(encoder, "a woman laughs")
    assert 0 < len(tokens) < 20
    assert torch.equal(tokens, padded[: len(tokens)])
    assert not padded[len(tokens) :].any()


@pytest.mark.parametrize(("frames", "expected"), [(81, 81), (80, 77), (5, 5), (4, 1), (1, 1)])
def test_as_many_frames_are_taken_as_make_whole_latents(frames: int, expected: int) -> None:
    assert fitting_frames(frames, 4) == expected


def test_a_whole_sample(tiny: Checkpoint) -> None:
    sample = drawn_sample("clip", frames=15)  # two frames too many
    latents = encode_sample(sample, tiny, AREA, "cpu", torch.float32)
    assert sample.video is not None
    assert sample.audio is not None
    width, height = 36, 28  # 36.9 x 27.7
    frames = decode_video(sample.video, 0, 13, width, height)
    pictures = np.stack([decode_picture(picture, width, height) for picture in sample.anchors])
    assert latents.anchors is not None
    assert latents.audio is not None
    assert np.array_equal(latents.video, encode_frames(tiny.codec, torch.from_numpy(frames)).numpy())
    assert np.array_equal(latents.anchors, encode_anchors(tiny.codec, torch.from_numpy(pictures)).numpy())
    assert np.array_equal(latents.audio, tiny.audio_features.extract(torch.from_numpy(decode_audio(sample.audio)), 16_000).numpy())
    assert latents.text is None  # its text encoder is trained
    assert latents.picture is None
    assert latents.key == latents_key(tiny, AREA)
    assert np.array_equal(Latents.from_bytes(latents.to_bytes(), "clip").video, latents.video)


def test_what_a_sample_lacks_is_absent(tiny: Checkpoint) -> None:
    silent = drawn_sample("clip", audio=False)
    alone = replace(silent, anchors=(), metadata=replace(silent.metadata, anchors=()))
    latents = encode_sample(alone, tiny, AREA, "cpu", torch.float32)
    assert latents.anchors is None
    assert latents.audio is None


def test_halves_are_the_numbers_rounded(tiny: Checkpoint) -> None:
    sample = drawn_sample("clip")
    exact, half = (encode_sample(sample, tiny, AREA, "cpu", dtype) for dtype in (torch.float32, torch.float16))
    assert half.video.dtype == np.float16
    assert np.array_equal(exact.video.astype(np.float16), half.video)


def test_encoders_that_are_not_trained_are_asked(looking: Checkpoint) -> None:
    sample = drawn_sample("clip")
    latents = encode_sample(sample, looking, AREA, "cpu", torch.float32)
    assert sample.video is not None
    assert latents.text is not None
    assert latents.picture is not None
    assert looking.image_encoder is not None
    assert np.array_equal(latents.text, encode_text(looking.text_encoder, "a woman laughs").numpy())
    first = torch.from_numpy(decode_video(sample.video, 0, 1, latents.video.shape[3] * 8, latents.video.shape[2] * 8))[0]
    assert np.array_equal(latents.picture, encode_picture(looking.image_encoder, first).numpy())
    assert latents.audio is None  # this network does not hear
    assert encode_sample(drawn_sample("clip", caption=None), looking, AREA, "cpu", torch.float32).text is None


def test_a_sample_without_pixels_or_too_small_is_refused(tiny: Checkpoint) -> None:
    sample = drawn_sample("clip")
    without = replace(sample, video=None, audio=None, anchors=(), metadata=replace(sample.metadata, pixels=False))
    with pytest.raises(SampleError, match="clip: has no pixels"):
        encode_sample(without, tiny, AREA, "cpu", torch.float32)
    with pytest.raises(SampleError, match="clip: a picture of 2x48 cannot be brought"):
        encode_sample(replace(sample, metadata=replace(sample.metadata, width=2)), tiny, AREA, "cpu", torch.float32)


def test_the_key_tells_networks_and_sizes_apart(tiny: Checkpoint, looking: Checkpoint, tmp_path: Path) -> None:
    tiny.save(tmp_path / "tiny")
    assert latents_key(Checkpoint.load(tmp_path / "tiny"), AREA) == latents_key(tiny, AREA) == latents_key(create_tiny(7), AREA)  # the same codec
    assert latents_key(tiny, AREA).differences(latents_key(tiny, 100)) == ["area 100 instead of 1024"]
    other = Checkpoint.load(text_to_video(tmp_path / "t2v"))
    assert latents_key(other, AREA).codec == latents_key(looking, AREA).codec != latents_key(tiny, AREA).codec
    assert latents_key(other, AREA).picture is None
    assert latents_key(looking, AREA).picture is not None
    assert latents_key(tiny, AREA).text is None
    assert latents_key(tiny, AREA).audio is not None


def test_sides_are_whole_patches(tiny: Checkpoint, looking: Checkpoint) -> None:
    assert (size_multiple(tiny), size_multiple(looking)) == (4, 16)
