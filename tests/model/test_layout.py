"""What the network is given, against diffusers' own image-to-video pipelines with a small VAE."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, WanImageToVideoPipeline
from torch import Tensor

from model.conditions.protocols import Codec
from model.conditions.wan_codec import WanCodec
from model.errors import ModelInputError
from model.layout import Layout, grey_condition
from model.presets import preset

BATCH, LATENTS, SIZE = 2, 3, (32, 48)
TINY_VAE = {"base_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1, "z_dim": 16}


@pytest.fixture(scope="module")
def vae() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoencoderKLWan(**TINY_VAE).eval()


@pytest.fixture(scope="module")
def codec(vae: Any) -> Codec:
    return WanCodec(vae)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def drawn_frames(count: int) -> Tensor:
    return drawn(BATCH, 3, count, *SIZE).clamp(-1, 1)


def latents(seed: int, count: int = LATENTS) -> Tensor:
    return drawn(BATCH, 16, count, SIZE[0] // 8, SIZE[1] // 8, seed=seed)


def pipeline(vae: Any, expand_timesteps: bool) -> Any:
    """Only what prepares latents."""
    return WanImageToVideoPipeline(tokenizer=None, text_encoder=None, vae=vae, scheduler=None, expand_timesteps=expand_timesteps)


@torch.no_grad()
def prepared(vae: Any, picture: Tensor, noise: Tensor, expand_timesteps: bool = False) -> tuple[Tensor, ...]:
    """diffusers' prepare_latents for one sample: noise, condition (with mask), and in place, where to keep the noise."""
    frames = 1 + 4 * (noise.shape[2] - 1)
    return pipeline(vae, expand_timesteps).prepare_latents(picture, 1, 16, *SIZE, frames, torch.float32, "cpu", None, noise)


def beside() -> Layout:
    return Layout(latent_channels=16, mask_channels=4)


def in_place() -> Layout:
    return Layout(latent_channels=16, mask_channels=0)


def first_given(count: int, of: int = LATENTS) -> Tensor:
    return (torch.arange(of) < count).expand(BATCH, -1)


def test_beside_is_what_diffusers_pipeline_makes_of_a_picture(vae: Any, codec: Codec) -> None:
    frames, noise, timestep = drawn_frames(1), latents(1), torch.tensor([900.0, 100.0])
    states, times = beside().video(noise, timestep, first_given(1), grey_condition(codec, frames, LATENTS))
    assert times is timestep
    assert states.shape[1] == 36
    for sample in range(BATCH):
        theirs = torch.cat(prepared(vae, frames[sample : sample + 1, :, 0], noise[sample : sample + 1]), dim=1)
        torch.testing.assert_close(states[sample : sample + 1], theirs, rtol=0, atol=1e-5)


def test_an_anchor_is_the_first_frame_of_an_image_to_video_sample_without_noise(vae: Any, codec: Codec) -> None:
    frames = drawn_frames(1)
    anchors = beside().anchors(codec.encode(frames))
    for sample in range(BATCH):
        _, condition = prepared(vae, frames[sample : sample + 1, :, 0], latents(1)[:1])
        clean = condition[:, 4:]  # on the way from noise to data, at timestep 0: the data
        torch.testing.assert_close(anchors[sample : sample + 1], torch.cat([clean, condition], dim=1)[:, :, :1], rtol=0, atol=1e-5)


def test_several_anchors_are_each_what_one_would_be() -> None:
    together = beside().anchors(latents(0, 5))
    assert together.shape == (BATCH, 36, 5, 4, 6)
    for index in range(5):
        assert torch.equal(together[:, :, index : index + 1], beside().anchors(latents(0, 5)[:, :, index : index + 1]))
    assert torch.equal(together[:, 16:20], torch.ones(BATCH, 4, 5, 4, 6))
    assert beside().anchors(latents(0, 0)).shape == (BATCH, 36, 0, 4, 6)


def test_in_place_an_anchor_is_its_latent() -> None:
    clean = latents(0)
    assert in_place().anchors(clean) is clean


def test_in_place_is_what_diffusers_pipeline_makes_of_a_picture(vae: Any, codec: Codec) -> None:
    """Its denoising loop: (1 - mask) * condition + mask * latents, at timesteps mask * t for each token of each frame."""
    frames, noise, timestep = drawn_frames(1), latents(1), torch.tensor([900.0, 100.0])
    condition = torch.cat([codec.encode(frames), latents(9, LATENTS - 1)], dim=2)  # what stands after the given frames does not matter
    states, times = in_place().video(noise, timestep, first_given(1), condition)
    for sample in range(BATCH):
        one = slice(sample, sample + 1)
        kept, given, mask = prepared(vae, frames[one, :, 0], noise[one], expand_timesteps=True)
        torch.testing.assert_close(states[one], (1 - mask) * given + mask * kept, rtol=0, atol=1e-5)
        assert torch.equal(times[one], (mask * timestep[sample])[0, 0, :, 0, 0][None])


@pytest.mark.parametrize("given", range(LATENTS + 1))
def test_given_frames_in_place_are_clean_and_at_time_zero(given: int) -> None:
    noise, condition, timestep = latents(1), latents(2), torch.tensor([900.0, 100.0])
    states, times = in_place().video(noise, timestep, first_given(given), condition)
    assert torch.equal(states, torch.cat([condition[:, :, :given], noise[:, :, given:]], dim=2))
    assert torch.equal(times, torch.cat([torch.zeros(BATCH, given), timestep[:, None].expand(-1, LATENTS - given)], dim=1))


@pytest.mark.parametrize("given", range(LATENTS + 1))
def test_given_frames_beside_are_marked(given: int) -> None:
    noise, condition, timestep = latents(1), latents(2), torch.tensor([900.0, 100.0])
    states, times = beside().video(noise, timestep, first_given(given), condition)
    assert torch.equal(states[:, :16], noise)
    assert torch.equal(states[:, 16:20], torch.cat([torch.ones(BATCH, 4, given, 4, 6), torch.zeros(BATCH, 4, LATENTS - given, 4, 6)], dim=2))
    assert torch.equal(states[:, 20:], condition)
    assert times is timestep


def test_samples_may_have_different_given_frames() -> None:
    given = torch.tensor([[True, True, False], [False, False, False]])
    states, times = in_place().video(latents(1), torch.tensor([900.0, 100.0]), given, latents(2))
    assert torch.equal(states[0, :, :2], latents(2)[0, :, :2])
    assert torch.equal(states[1], latents(1)[1])
    assert times.tolist() == [[0, 0, 900], [100, 100, 100]]


def test_nothing_given_in_place_changes_nothing() -> None:
    noise, timestep = latents(1), torch.tensor([900.0, 100.0])
    states, times = in_place().video(noise, timestep, first_given(0), None)
    assert states is noise
    assert times is timestep


@pytest.mark.parametrize("layout", [beside(), in_place()], ids=["beside", "in place"])
def test_the_networks_precision_is_kept(layout: Layout) -> None:
    states, _ = layout.video(latents(1).bfloat16(), torch.tensor([900.0, 100.0]), first_given(1), latents(2))
    assert states.dtype == layout.anchors(latents(3).bfloat16()).dtype == torch.bfloat16


def test_frames_that_are_given_must_be_there() -> None:
    for layout, given in ((beside(), 0), (beside(), 1), (in_place(), 1)):
        with pytest.raises(ModelInputError, match="needs the latents of the given frames, or of grey where none is given"):
            layout.video(latents(1), torch.zeros(BATCH), first_given(given), None)


@pytest.mark.parametrize("given", [1, 5, 9])
def test_grey_after_the_given_frames_is_diffusers_condition(vae: Any, codec: Codec, given: int) -> None:
    """Grey is 0 in -1..1. Of a single frame diffusers' own pipeline makes the condition; of more, its VAE and its config's mean and deviation do."""
    frames = drawn_frames(given)
    condition = grey_condition(codec, frames, LATENTS)
    assert condition.shape == (BATCH, 16, LATENTS, 4, 6)
    with torch.no_grad():
        mode = vae.encode(torch.cat([frames, torch.zeros(BATCH, 3, 9 - given, *SIZE)], dim=2)).latent_dist.mode()
    mean, std = (torch.tensor(values).view(1, 16, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std))
    torch.testing.assert_close(condition, (mode - mean) / std, rtol=0, atol=1e-5)
    torch.testing.assert_close(condition[:, :, : (given + 3) // 4], codec.encode(frames), rtol=0, atol=1e-5)  # the codec does not look ahead
    if given == 1:
        theirs = torch.cat([prepared(vae, frame, latents(1)[:1])[1][:, 4:] for frame in frames[:, :, 0].split(1)])
        torch.testing.assert_close(condition, theirs, rtol=0, atol=1e-5)


def test_more_given_frames_than_the_chunk_has_are_told(codec: Codec) -> None:
    with pytest.raises(ModelInputError, match="13 frames are given, but a chunk of 3 latents has only 9"):
        grey_condition(codec, drawn_frames(13), LATENTS)


def a_codec(channels: int, factor: int = 4) -> Any:
    return SimpleNamespace(channels=channels, temporal_factor=factor)


@pytest.mark.parametrize(
    ("name", "channels", "mask"),
    [("tiny", 48, 0), ("wan2_1_t2v_1_3b", 16, 0), ("wan2_1_i2v_14b", 16, 4), ("wan2_2_ti2v_5b", 48, 0)],
)
def test_each_preset_has_a_layout_that_fills_its_channels(name: str, channels: int, mask: int) -> None:
    config = SimpleNamespace(**preset(name).transformer)
    layout = Layout.of(config, a_codec(channels))
    assert layout == Layout(channels, mask)
    assert layout.beside == (mask > 0)
    assert layout.anchors(torch.zeros(1, channels, 2, 4, 4)).shape[1] == config.in_channels
    states, _ = layout.video(torch.zeros(1, channels, 3, 4, 4), torch.zeros(1), torch.zeros(1, 3, dtype=torch.bool), torch.zeros(1, channels, 3, 4, 4))
    assert states.shape[1] == config.in_channels


@pytest.mark.parametrize(
    ("channels", "codec_channels", "message"),
    [
        ((16, 16), 48, "the network makes 16 channels of latents, the codec has 48; take the one it was trained with"),
        ((32, 16), 16, "a network with 32 input and 16 output channels is neither text- nor image-to-video of Wan"),
        ((33, 16), 16, "33 input and 16 output"),
    ],
)
def test_networks_and_codecs_that_do_not_belong_together_are_told(channels: tuple[int, int], codec_channels: int, message: str) -> None:
    config = SimpleNamespace(in_channels=channels[0], out_channels=channels[1])
    with pytest.raises(ModelInputError, match=message):
        Layout.of(config, a_codec(codec_channels))


def test_a_codec_of_another_pace_does_not_fit_an_image_to_video_network() -> None:
    with pytest.raises(ModelInputError, match="36 input and 16 output"):
        Layout.of(SimpleNamespace(in_channels=36, out_channels=16), a_codec(16, factor=8))
