"""What does not fit a network is told, by the network that is given it; what fits is taken, also by a configuration alone."""

from dataclasses import asdict
from typing import Any

import pytest
import torch

from model.errors import ModelInputError
from model.input_checks import check_audio, check_cached, check_conditions, check_video, checked_anchors
from model.positions import AnchorPositions
from model.presets import preset
from tests.model.small_networks import (
    AUDIO_DIM,
    BATCH,
    FRAME_TOKENS,
    FRAMES,
    HEIGHT,
    IMAGE_DIM,
    TEXT_DIM,
    WIDTH,
    WINDOW,
    anchored,
    cached,
    inputs,
    run_model,
    small,
    sounding,
)


@pytest.fixture(scope="module")
def plain() -> Any:
    return small("wan2_1_t2v_1_3b")


BAD_ANCHORS: list[tuple[dict[str, Any], str]] = [
    ({"anchors": torch.zeros(BATCH, 48, 3, HEIGHT, WIDTH)}, r"anchors must be \(2, 16, K, h, w\) .* not \(2, 48, 3, 4, 6\)"),
    ({"anchors": torch.zeros(BATCH, 16, HEIGHT, WIDTH)}, r"anchors must be \(2, 16, K, h, w\)"),
    ({"anchors": torch.zeros(BATCH, 16)}, r"anchors must be \(2, 16, K, h, w\)"),
    ({"anchors": torch.zeros(BATCH, 16, 3, 5, WIDTH)}, "anchors: height of 5 latents is not a multiple of the patch size 2"),
    ({"anchors": torch.zeros(BATCH, 16, 3, HEIGHT, 3)}, "anchors: width of 3 latents is not a multiple of the patch size 2"),
    ({"anchors": torch.zeros(BATCH, 16, 3, 0, WIDTH)}, "anchors: height of 0 latents"),
    ({"anchor_positions": None}, r"anchor_positions must be \(2, 3\), one per anchor, not None"),
    ({"anchor_positions": torch.zeros(BATCH, 2)}, r"anchor_positions must be \(2, 3\), one per anchor, not \(2, 2\)"),
    ({"anchor_positions": torch.zeros(3)}, r"anchor_positions must be \(2, 3\), one per anchor, not \(3,\)"),
    ({"anchor_mask": torch.ones(BATCH, 3)}, r"anchor_mask must be \(2, 3\) of bool, not \(2, 3\) of torch.float32"),
    ({"anchor_mask": torch.ones(BATCH, 4, dtype=torch.bool)}, r"anchor_mask must be \(2, 3\) of bool, not \(2, 4\) of torch.bool"),
]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hidden_states": torch.zeros(BATCH, 36, FRAMES, HEIGHT, WIDTH)}, r"the video's latents must be \(B, 16, F, H, W\) for this network, not \(2, 36, 3"),
        ({"hidden_states": torch.zeros(16, FRAMES, HEIGHT, WIDTH)}, r"the video's latents must be \(B, 16, F, H, W\)"),
        ({"hidden_states": torch.zeros(BATCH, 16, FRAMES, 5, WIDTH)}, "the video: height of 5 latents is not a multiple of the patch size 2; crop or resize"),
        ({"hidden_states": torch.zeros(BATCH, 16, FRAMES, HEIGHT, 7)}, "the video: width of 7 latents is not a multiple of the patch size 2"),
        ({"hidden_states": torch.zeros(BATCH, 16, 0, HEIGHT, WIDTH)}, "the video: frames of 0 latents"),
        ({"timestep": torch.tensor(1.0)}, r"timestep must have a number per sample \(2,\) or per latent frame \(2, 3\), not \(\)"),
        ({"timestep": torch.zeros(BATCH, FRAMES * FRAME_TOKENS - 1)}, r"per latent frame \(2, 3\), not \(2, 17\)"),
        ({"encoder_hidden_states": torch.zeros(BATCH, 5, 4096)}, r"text must be \(2, T, 16\) for this network, not \(2, 5, 4096\)"),
        ({"encoder_hidden_states": torch.zeros(1, 5, TEXT_DIM)}, r"text must be \(2, T, 16\)"),
        ({"encoder_hidden_states_image": torch.zeros(BATCH, 7, IMAGE_DIM)}, "takes no embedding of a picture"),
        ({"audio": torch.zeros(BATCH, FRAMES + 1, WINDOW, AUDIO_DIM)}, r"audio must be .* = \(2, 3, 5, 8\), not \(2, 4, 5, 8\)"),
        ({"audio": torch.zeros(BATCH, FRAMES, WINDOW, 80)}, r"= \(2, 3, 5, 8\), not \(2, 3, 5, 80\)"),
        ({**sounding(), "audio_mask": torch.ones(BATCH)}, r"audio_mask must be \(2,\) of bool, not \(2,\) of torch.float32"),
        ({**sounding(), "audio_mask": torch.ones(BATCH, 1, dtype=torch.bool)}, r"audio_mask must be \(2,\) of bool, not \(2, 1\) of torch.bool"),
        *BAD_ANCHORS,
        ({"anchors": torch.zeros(1, 16, 3, HEIGHT, WIDTH)}, r"anchors must be \(2, 16, K, h, w\) for this network and batch, not \(1, 16"),
    ],
)
def test_what_does_not_fit_is_told(plain: Any, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelInputError, match=message):
        plain(**(inputs(plain) | anchored(plain) | wrong))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        *BAD_ANCHORS,
        (
            {"anchors": torch.zeros(BATCH, 16, 0, HEIGHT, WIDTH), "anchor_positions": torch.zeros(BATCH, 0)},
            "there are no anchors to cache; run without a cache",
        ),
        ({"encoder_hidden_states": torch.zeros(BATCH, 5, 4096)}, r"text must be \(2, T, 16\)"),
        ({"encoder_hidden_states_image": torch.zeros(BATCH, 7, IMAGE_DIM)}, "takes no embedding of a picture"),
    ],
)
def test_what_cannot_be_cached_is_told(plain: Any, wrong: dict[str, Any], message: str) -> None:
    texts = {"encoder_hidden_states": inputs(plain)["encoder_hidden_states"]}
    with pytest.raises(ModelInputError, match=message):
        plain.cache_anchors(**(anchored(plain) | texts | wrong))


def test_a_picture_and_its_text_are_asked_for() -> None:
    model = small("wan2_1_i2v_14b")
    given, extra = inputs(model), anchored(model)
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"encoder_hidden_states_image": None}, r"needs the embedding of a picture \(image to video\)"),
        ({"encoder_hidden_states_image": torch.zeros(BATCH, 7, 1280)}, r"must be \(2, P, 20\) for this network, not \(2, 7, 1280\)"),
        ({"encoder_hidden_states": torch.zeros(BATCH, 226, TEXT_DIM)}, "takes 512 text tokens, padded with zeros, not 226"),
    ]
    for wrong, message in wrongs:
        with pytest.raises(ModelInputError, match=message):
            model(**(given | wrong))
        with pytest.raises(ModelInputError, match=message):
            cached(model, given | wrong, extra)


def test_audio_for_a_network_that_hears_nothing_is_told() -> None:
    model = small("tiny", audio_dim=None)
    with pytest.raises(ModelInputError, match="this network hears nothing: it was built without audio_dim; leave the audio out"):
        model(**inputs(model), **sounding())


def test_a_chunk_that_reaches_into_the_anchors_is_told_only_where_there_are_some() -> None:
    model = small("tiny", anchor_positions={"longest_chunk": 2})
    given, extra = inputs(model), anchored(model)
    assert run_model(model, **given).shape == given["hidden_states"].shape
    for reaching in (extra, {"anchor_cache": cached(model, given, extra)}):
        with pytest.raises(ModelInputError, match="a chunk of 3 latent frames reaches into the positions of anchors, which begin after 2; make chunks shorter"):
            model(**given, **reaching)
    short = given | {"hidden_states": given["hidden_states"][:, :, :2]}
    assert run_model(model, **short, **extra).shape[2] == 2


def test_a_cache_belongs_to_its_network_and_its_batch(plain: Any) -> None:
    given, extra = inputs(plain), anchored(plain)
    kept = cached(plain, given, extra)
    with pytest.raises(ModelInputError, match="give anchors or their cache, not both"):
        plain(**given, **extra, anchor_cache=kept)
    with pytest.raises(ModelInputError, match="cache is of 2 blocks and 2 samples, the network has 2 and the video 1; cache these anchors with this network"):
        plain(**{name: value[:1] for name, value in given.items()}, anchor_cache=kept)
    with pytest.raises(ModelInputError, match="cache is of 2 blocks and 2 samples, the network has 1 and the video 2"):
        small("wan2_1_t2v_1_3b", num_layers=1, audio_layers=())(**given, anchor_cache=kept)


# the largest network's configuration, without a network

LARGE = {**preset("wan2_1_i2v_14b").transformer, "audio_window": 25, "anchor_positions": asdict(AnchorPositions())}


def unmade(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.empty(*shape, dtype=dtype, device="meta")


def test_what_fits_is_taken() -> None:
    video, tokens = unmade(2, 36, 21, 60, 104), 21 * 30 * 52
    for times in ((2,), (2, 21), (2, tokens)):
        check_video(LARGE, video, unmade(*times))
    check_conditions(LARGE, unmade(2, 512, 4096), unmade(2, 257, 1280), 2)
    check_audio(LARGE, None, None, 2, 21)
    check_audio(LARGE, unmade(2, 21, 25, 80), unmade(2, dtype=torch.bool), 2, 21)
    check_cached(LARGE, [(unmade(2, 1560, 40, 128), unmade(2, 1560, 40, 128))] * 40, 2, 21)


@pytest.mark.parametrize("masked", [False, True])
def test_positions_and_mask_come_to_where_the_anchors_lie(masked: bool) -> None:
    given = torch.ones(2, 3, dtype=torch.bool) if masked else None
    positions, mask = checked_anchors(LARGE, unmade(2, 36, 3, 30, 52), torch.zeros(2, 3), given, 2, 21)
    assert (positions.device.type, positions.shape) == ("meta", (2, 3))
    assert (mask is not None) == masked
    if mask is not None:
        assert (mask.device.type, mask.shape, mask.dtype) == ("meta", (2, 3), torch.bool)


def test_the_longest_chunk_is_the_last_that_fits_beside_anchors() -> None:
    longest, anchors = AnchorPositions().longest_chunk, unmade(2, 36, 1, 60, 104)
    checked_anchors(LARGE, anchors, torch.zeros(2, 1), None, 2, longest)
    with pytest.raises(ModelInputError, match=f"a chunk of {longest + 1} latent frames reaches into the positions of anchors, which begin after {longest}"):
        checked_anchors(LARGE, anchors, torch.zeros(2, 1), None, 2, longest + 1)
