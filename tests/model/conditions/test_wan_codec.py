"""Wan's VAE as a codec, against diffusers' own encoding and the normalisation of its pipelines done by hand."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file

from model.conditions.protocols import Codec
from model.conditions.wan_codec import WanCodec
from model.errors import ModelInputError

TINY = {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
WAN_2_1 = {**TINY, "z_dim": 16}
WAN_2_2 = {
    **TINY,
    "z_dim": 48,
    "is_residual": True,
    "in_channels": 12,
    "out_channels": 12,
    "patch_size": 2,
    "scale_factor_spatial": 16,
    "latents_mean": [0.1 * i - 2 for i in range(48)],
    "latents_std": [0.5 + 0.1 * i for i in range(48)],
}


def tiny_vae(config: dict[str, Any]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoencoderKLWan(**config).eval()


@pytest.fixture(scope="module", params=[WAN_2_1, WAN_2_2], ids=["2.1", "2.2"])
def vae(request: pytest.FixtureRequest) -> Any:
    return tiny_vae(request.param)


def drawn_frames(count: int = 9, height: int = 32, width: int = 48, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, count, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_latents_are_those_of_diffusers_normalised(vae: Any) -> None:
    codec: Codec = WanCodec(vae)
    frames = drawn_frames()
    with torch.no_grad():
        mode = vae.encode(frames).latent_dist.mode()
    mean, std = (torch.tensor(values).view(1, vae.config.z_dim, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std))
    torch.testing.assert_close(codec.encode(frames), (mode - mean) * (1.0 / std), rtol=1e-5, atol=1e-6)


def test_factors_and_shapes_are_the_configs(vae: Any) -> None:
    codec = WanCodec(vae)
    factor = vae.config.scale_factor_spatial
    assert (codec.channels, codec.temporal_factor, codec.spatial_factor) == (vae.config.z_dim, 4, factor)
    latents = codec.encode(drawn_frames())
    assert latents.shape == (2, codec.channels, 3, 32 // factor, 48 // factor)
    frames = codec.decode(latents)
    assert frames.shape == (2, 3, 9, 32, 48)
    assert frames.abs().max() <= 1


def test_decoding_takes_the_normalisation_back(vae: Any) -> None:
    codec = WanCodec(vae)
    frames = drawn_frames(batch=1)
    with torch.no_grad():
        expected = vae.decode(vae.encode(frames).latent_dist.mode()).sample
    torch.testing.assert_close(codec.decode(codec.encode(frames)), expected, rtol=0, atol=1e-5)


def test_an_anchor_is_encoded_as_the_first_frame_of_any_video(vae: Any) -> None:
    codec = WanCodec(vae)
    frames = drawn_frames()
    video = codec.encode(frames)
    torch.testing.assert_close(codec.encode(frames[:, :, :1]), video[:, :, :1], rtol=0, atol=1e-6)
    torch.testing.assert_close(codec.encode(frames[:, :, :5]), video[:, :, :2], rtol=0, atol=1e-6)


def test_nothing_wants_gradients_and_halves_give_float32(vae: Any) -> None:
    assert not any(parameter.requires_grad for parameter in vae.parameters())
    codec = WanCodec(tiny_vae(WAN_2_1)).to("cpu", torch.bfloat16)
    frames = drawn_frames(5, batch=1)
    latents = codec.encode(frames.requires_grad_())
    assert latents.dtype == torch.float32
    assert not latents.requires_grad
    assert codec.decode(latents).dtype == torch.float32


def test_saved_loads_again_also_in_diffusers(vae: Any, tmp_path: Path) -> None:
    codec = WanCodec(vae)
    codec.save(tmp_path / "vae")
    frames = drawn_frames(5)
    torch.testing.assert_close(WanCodec.load(tmp_path / "vae").encode(frames), codec.encode(frames), rtol=0, atol=0)
    assert AutoencoderKLWan.from_pretrained(tmp_path / "vae").config.z_dim == codec.channels


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 8, 32, 32), r"8 frames cannot be encoded; give 1 \+ a multiple of 4, such as 5"),
        ((1, 3, 0, 32, 32), "0 frames cannot be encoded.*such as 1"),
        ((1, 3, 5, 36, 32), "frames of 32x36 cannot be encoded; scale or crop them to multiples of 8"),
        ((1, 4, 5, 32, 32), r"must be of shape \(batch, 3, frames, height, width\), not \(1, 4, 5, 32, 32\)"),
        ((3, 5, 32, 32), "give RGB video"),
    ],
)
def test_wrong_frames_are_told(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelInputError, match=message):
        WanCodec(tiny_vae(WAN_2_1)).encode(torch.zeros(shape))


def test_wrong_values_and_wrong_latents_are_told() -> None:
    codec = WanCodec(tiny_vae(WAN_2_1))
    with pytest.raises(ModelInputError, match=r"not torch\.uint8; divide"):
        codec.encode(torch.zeros(1, 3, 1, 8, 8, dtype=torch.uint8))
    with pytest.raises(ModelInputError, match=r"of shape \(batch, 16, .* not \(1, 48, 1, 1, 1\)"):
        codec.decode(torch.zeros(1, 48, 1, 1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale_factor_spatial": 16}, "says 4 frames and 16 pixels per latent, but its layers make 4 and 8"),
        ({"scale_factor_temporal": 2, "temperal_downsample": [False, False, True]}, "one latent of 2 frames, but diffusers encodes 4"),
        ({"z_dim": 8}, "8 channels .* but 16 latents_mean and 16 latents_std"),
    ],
)
def test_a_config_that_contradicts_itself_is_told(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelInputError, match=message):
        WanCodec(tiny_vae({**WAN_2_1, **change}))


def test_folders_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    good = tmp_path / "vae"
    WanCodec(tiny_vae(WAN_2_1)).save(good)
    weights = good / "diffusion_pytorch_model.safetensors"
    bare, other, lacking = (Path(shutil.copytree(good, tmp_path / name)) for name in ("bare", "other", "lacking"))
    (bare / weights.name).unlink()
    (other / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL"}))
    tensors = load_file(weights)
    save_file({name: tensor for name, tensor in tensors.items() if not name.startswith("quant_conv")}, lacking / weights.name)
    for folder, message in ((tmp_path / "none", "no config.json"), (bare, "cannot be loaded"), (other, "holds a AutoencoderKL, not"), (lacking, "quant_conv")):
        with pytest.raises(ModelInputError, match=message):
            WanCodec.load(folder)
