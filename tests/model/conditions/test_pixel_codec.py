"""The codec without weights, against torch's own pixel_unshuffle frame by frame."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import pixel_unshuffle

from model.component_config import write_config
from model.conditions.pixel_codec import SCALE, PixelUnshuffleCodec
from model.conditions.protocols import Codec
from model.errors import ModelInputError


def drawn_frames(count: int, height: int = 16, width: int = 24, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, count, height, width, generator=torch.Generator().manual_seed(2)) * 2 - 1


@pytest.mark.parametrize(("spatial", "temporal"), [(8, 4), (4, 2), (2, 1), (1, 4)])
def test_what_is_encoded_comes_back_bit_for_bit(spatial: int, temporal: int) -> None:
    codec: Codec = PixelUnshuffleCodec(spatial, temporal)
    frames = drawn_frames(1 + 2 * temporal)
    latents = codec.encode(frames)
    assert latents.shape == (2, 3 * temporal * spatial**2, 3, 16 // spatial, 24 // spatial)
    assert torch.equal(codec.decode(latents), frames)


def test_a_latent_holds_the_pixels_of_its_frames() -> None:
    frames = drawn_frames(9)
    latents = PixelUnshuffleCodec().encode(frames) / SCALE
    for latent, shown in ((0, [0, 0, 0, 0]), (1, [1, 2, 3, 4]), (2, [5, 6, 7, 8])):
        by_frame = torch.stack([pixel_unshuffle(frames[:, :, frame], 8).unflatten(1, (3, 64)) for frame in shown], dim=2)
        assert torch.equal(latents[:, :, latent], by_frame.flatten(1, 3))


def test_an_anchor_is_encoded_as_the_first_frame_of_any_video() -> None:
    codec = PixelUnshuffleCodec()
    frames = drawn_frames(9)
    assert torch.equal(codec.encode(frames[:, :, :1]), codec.encode(frames)[:, :, :1])


@pytest.mark.parametrize("first", [1, 2])
def test_latents_cut_out_of_a_video_decode_to_the_last_frame_of_the_first_and_all_of_the_others(first: int) -> None:
    codec = PixelUnshuffleCodec()
    frames = drawn_frames(13)
    later = codec.encode(frames)[:, :, first:]
    assert torch.equal(codec.decode(later), frames[:, :, 4 * first :])


def test_drawn_frames_have_about_unit_deviation_as_latents() -> None:
    assert 0.9 < PixelUnshuffleCodec().encode(drawn_frames(5)).std() < 1.3


def test_wild_latents_are_clamped() -> None:
    assert PixelUnshuffleCodec(2, 1).decode(torch.full((1, 12, 1, 1, 1), 9.0)).max() == 1


def test_saved_loads_again(tmp_path: Path) -> None:
    PixelUnshuffleCodec(4, 2).to("cpu", torch.bfloat16).save(tmp_path / "vae")
    codec = PixelUnshuffleCodec.load(tmp_path / "vae")
    assert (codec.spatial_factor, codec.temporal_factor, codec.channels) == (4, 2, 96)


def test_wrong_input_is_told(tmp_path: Path) -> None:
    codec = PixelUnshuffleCodec()
    with pytest.raises(ModelInputError, match="2 frames cannot be encoded"):
        codec.encode(drawn_frames(2))
    with pytest.raises(ModelInputError, match="frames of 24x20 cannot be encoded"):
        codec.encode(drawn_frames(1, height=20))
    with pytest.raises(ModelInputError, match=r"batch, 768, .* not \(1, 16, 1, 2, 2\)"):
        codec.decode(torch.zeros(1, 16, 1, 2, 2))
    with pytest.raises(ModelInputError, match="must be 1 or more"):
        PixelUnshuffleCodec(0)
    write_config(tmp_path / "words", "WordEmbedding")
    with pytest.raises(ModelInputError, match="holds a WordEmbedding, not a PixelUnshuffleCodec"):
        PixelUnshuffleCodec.load(tmp_path / "words")
    write_config(tmp_path / "short", "PixelUnshuffleCodec", spatial_factor=8)
    with pytest.raises(ModelInputError, match="lacks 'temporal_factor'"):
        PixelUnshuffleCodec.load(tmp_path / "short")
