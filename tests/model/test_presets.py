"""The presets against the published configurations and sizes. Full-size networks are built on the meta device: they have shapes, but no numbers."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel

from model.errors import ModelInputError
from model.positions import AnchorClass
from model.presets import PRESETS, Usage, differences, nearest, preset
from model.transformer import NEW_PARAMETERS, AnchorWanTransformer3DModel

SHARED = {"dim_head": 128, "freq_dim": 256, "text_dim": 4096, "patch_size": (1, 2, 2), "image_dim": None, "added_kv_proj_dim": None}
PUBLISHED: dict[str, dict[str, Any]] = {
    "wan2_1_t2v_1_3b": SHARED | {"dim": 1536, "ffn_dim": 8960, "heads": 12, "layers": 30, "in": 16, "out": 16},
    "wan2_1_i2v_14b": SHARED | {"dim": 5120, "ffn_dim": 13824, "heads": 40, "layers": 40, "in": 36, "out": 16, "image_dim": 1280, "added_kv_proj_dim": 5120},
    "wan2_2_ti2v_5b": SHARED | {"dim": 3072, "ffn_dim": 14336, "heads": 24, "layers": 30, "in": 48, "out": 48},
}
"""As Wan-Video publishes them: wan/configs/wan_t2v_1_3B.py and wan_i2v_14B.py of Wan2.1, wan_ti2v_5B.py of Wan2.2, and the weights' config.json."""

COUNTS = {"wan2_1_t2v_1_3b": 1_418_996_800, "wan2_1_i2v_14b": 16_394_878_784, "wan2_2_ti2v_5b": 4_999_787_712}
"""Parameters of the published networks."""

NAMED = {"wan2_1_t2v_1_3b": "1.42B", "wan2_1_i2v_14b": "16.4B", "wan2_2_ti2v_5b": "5.0B"}
"""Their sizes as people write them."""

LATENT_SIZES = {"wan2_1_t2v_1_3b": (21, 60, 104), "wan2_1_i2v_14b": (21, 60, 104), "wan2_2_ti2v_5b": (31, 44, 80)}
"""Latents of 81 frames of 480 x 832 (8 times smaller), and of 121 frames of 704 x 1280 (16 times smaller)."""

AUDIO_LAYERS = {"wan2_1_t2v_1_3b": 8, "wan2_1_i2v_14b": 10, "wan2_2_ti2v_5b": 8}
AUDIO_WINDOW = 25


@pytest.fixture(scope="module", params=list(PUBLISHED))
def full(request: pytest.FixtureRequest) -> tuple[str, Any]:
    with torch.device("meta"):
        return request.param, preset(request.param).build()


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def published_count(config: Mapping[str, Any]) -> int:
    """Parameters of a Wan transformer, layer by layer."""
    dim, ffn, image, added = config["dim"], config["ffn_dim"], config["image_dim"], config["added_kv_proj_dim"]
    attention = 4 * linear(dim, dim) + 2 * dim  # query, key, value, output; norms of query and key
    block = 2 * attention + linear(dim, ffn) + linear(ffn, dim) + 2 * dim + 6 * dim  # norm before the text; six rows of modulation
    if added is not None:
        block += 2 * linear(added, dim) + dim  # keys and values of the picture; norm of its keys
    patch = prod(config["patch_size"])
    embedding = linear(config["in"] * patch, dim)
    embedding += linear(config["freq_dim"], dim) + linear(dim, dim) + linear(dim, 6 * dim)  # time
    embedding += linear(config["text_dim"], dim) + linear(dim, dim)
    if image is not None:
        embedding += 2 * image + linear(image, image) + linear(image, dim) + 2 * dim
    return config["layers"] * block + embedding + linear(dim, config["out"] * patch) + 2 * dim


def audio_count(dim: int, layers: int, audio_dim: int = 80) -> int:
    embedder = 2 * audio_dim + linear(audio_dim, dim) + linear(dim, dim) + AUDIO_WINDOW * dim
    return embedder + layers * (4 * linear(dim, dim) + 2 * dim)


def stock_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """The published configuration in diffusers' words."""
    same = {name: config[name] for name in ("patch_size", "ffn_dim", "freq_dim", "text_dim", "image_dim", "added_kv_proj_dim")}
    return same | {
        "num_attention_heads": config["heads"],
        "attention_head_dim": config["dim_head"],
        "in_channels": config["in"],
        "out_channels": config["out"],
        "num_layers": config["layers"],
        "cross_attn_norm": True,
        "qk_norm": "rms_norm_across_heads",
        "eps": 1e-6,
    }


def size(model: Any, new: bool) -> int:
    return sum(parameter.numel() for name, parameter in model.named_parameters() if name.startswith(NEW_PARAMETERS) == new)


def test_parameters_to_the_digit(full: tuple[str, Any]) -> None:
    name, model = full
    with torch.device("meta"):
        stock = WanTransformer3DModel(**stock_arguments(PUBLISHED[name]))
    assert size(model, new=False) == size(stock, new=False) == published_count(PUBLISHED[name]) == COUNTS[name]
    assert size(model, new=True) == audio_count(PUBLISHED[name]["dim"], AUDIO_LAYERS[name])
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    assert {key: value for key, value in shapes.items() if not key.startswith(NEW_PARAMETERS)} == {k: v.shape for k, v in stock.state_dict().items()}


def test_sizes_as_people_write_them() -> None:
    for name, written in NAMED.items():
        digits = len(written.split(".")[1]) - 1
        assert f"{COUNTS[name] / 1e9:.{digits}f}B" == written
    assert round(2 * COUNTS["wan2_1_i2v_14b"] / 1e9, 1) == 32.8  # gigabytes of its checkpoint in bfloat16


def test_configurations_are_the_published_ones(full: tuple[str, Any]) -> None:
    name, model = full
    config = PUBLISHED[name]
    assert config["heads"] * config["dim_head"] == config["dim"]
    for key, value in stock_arguments(config).items():
        assert model.config[key] == value, key
    assert model.config.rope_max_seq_len == 1024
    assert model.config.pos_embed_seq_len is None


@torch.no_grad()
def test_a_chunk_with_anchors_goes_through(full: tuple[str, Any]) -> None:
    name, model = full
    config, made = PUBLISHED[name], preset(name)
    frames, height, width = LATENT_SIZES[name]
    assert made.usage.chunk_latents == frames <= model.anchor_positions.longest_chunk
    assert made.usage.area == height * width * (16 if name == "wan2_2_ti2v_5b" else 8) ** 2
    anchors = AnchorClass.all()[:5]
    with torch.device("meta"):
        velocity = model(
            torch.empty(1, config["in"], frames, height, width),
            torch.empty(1, frames),
            torch.empty(1, 512, config["text_dim"]),
            None if config["image_dim"] is None else torch.empty(1, 257, config["image_dim"]),
            anchors=torch.empty(1, config["in"], len(anchors), height, width),
            anchor_positions=torch.tensor([model.anchor_positions.of(anchors)], dtype=torch.float64),
            audio=torch.empty(1, frames, AUDIO_WINDOW, 80),
        ).sample
    assert velocity.shape == (1, config["out"], frames, height, width)


def test_every_fourth_block_listens_as_in_the_published_speech_to_video(full: tuple[str, Any]) -> None:
    name, model = full
    assert tuple(model.config.audio_layers) == tuple(range(0, PUBLISHED[name]["layers"], 4))
    assert len(model.audio_attention) == AUDIO_LAYERS[name]


def test_how_they_are_sampled() -> None:
    """wan/configs and generate.py: sample_fps, frame_num, sample_shift (3 for image to video at 480p), sample_steps, sample_guide_scale."""
    found = {
        name: (use.frame_rate, 1 + 4 * (use.chunk_latents - 1), made.shift, use.steps, use.guidance)
        for name in PUBLISHED
        for made in [preset(name)]
        for use in [made.usage]
    }
    assert found == {
        "wan2_1_t2v_1_3b": (16.0, 81, 5.0, 50, 5.0),
        "wan2_1_i2v_14b": (16.0, 81, 3.0, 40, 5.0),
        "wan2_2_ti2v_5b": (24.0, 121, 5.0, 50, 5.0),
    }


def test_a_usage_goes_through_a_file() -> None:
    usage = preset("wan2_2_ti2v_5b").usage
    assert Usage.of(json.loads(json.dumps(asdict(usage)))) == usage
    assert Usage.of(SETTINGS | {"frame_rate": 25}).frame_rate == 25


SETTINGS: dict[str, object] = {"frame_rate": 16.0, "chunk_latents": 21, "area": 2304, "steps": 8, "guidance": 1.0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ([], "there must be area, chunk_latents, frame_rate, guidance, steps and nothing else"),
        ({"frame_rate": 16.0}, "there must be area"),
        (SETTINGS | {"wings": 2}, "nothing else, not .*wings"),
        (SETTINGS | {"chunk_latents": 21.5}, "chunk_latents must be a whole number above 0, not 21.5"),
        (SETTINGS | {"steps": True}, "steps must be a whole number above 0, not True"),
        (SETTINGS | {"area": 0}, "area must be a whole number above 0"),
        (SETTINGS | {"frame_rate": float("nan")}, "frame_rate must be a number above 0, not nan"),
        (SETTINGS | {"guidance": "5"}, "guidance must be a number above 0, not '5'"),
    ],
)
def test_a_damaged_usage_is_told(settings: object, said: str) -> None:
    with pytest.raises(ModelInputError, match=said):
        Usage.of(settings)


def test_tiny_is_small_and_whole() -> None:
    model = preset("tiny").build()
    config = preset("tiny").transformer
    in_short = {"dim": 256, "layers": 4, "in": 48, "out": 48, **{key: config[key] for key in ("ffn_dim", "freq_dim", "text_dim", "patch_size")}}
    assert size(model, new=False) == published_count(in_short | {"image_dim": None, "added_kv_proj_dim": None}) < 5_000_000
    assert size(model, new=True) == audio_count(256, 2)


def test_every_preset_is_known_by_its_name_and_by_its_configuration() -> None:
    assert list(PRESETS) == ["tiny", *PUBLISHED]
    for name in PRESETS:
        assert preset(name).name == name
        assert differences(preset(name).transformer, name) == []
        assert nearest(preset(name).transformer) == name
    with pytest.raises(ModelInputError, match="there is no preset 'wan'; there are tiny, wan2_1_t2v_1_3b, wan2_1_i2v_14b, wan2_2_ti2v_5b"):
        preset("wan")


def test_a_configuration_read_from_json_is_still_the_presets() -> None:
    config = dict(preset("tiny").transformer) | {"patch_size": [1, 2, 2], "audio_dim": 768, "audio_layers": [1], "anchor_timestep": "video"}
    assert nearest(config) == "tiny"


def test_differences_say_what_and_how() -> None:
    config = dict(preset("wan2_1_t2v_1_3b").transformer)
    assert differences(config | {"num_layers": 40, "patch_size": [2, 2, 2]}, "wan2_1_t2v_1_3b") == [
        "patch_size (2, 2, 2) instead of (1, 2, 2)",
        "num_layers 40 instead of 30",
    ]
    assert nearest(config | {"num_layers": 40}) is None
    assert "in_channels 16 instead of 36" in differences(config, "wan2_1_i2v_14b")
    del config["ffn_dim"]
    assert differences(config, "wan2_1_t2v_1_3b") == ["ffn_dim None instead of 8960"]


def test_changes_replace_arguments_and_leave_the_preset_alone() -> None:
    made = preset("tiny")
    model = made.build(num_layers=2, audio_layers=(1,), anchor_timestep="video")
    assert isinstance(model, AnchorWanTransformer3DModel)
    assert (len(model.blocks), list(model.audio_attention), model.config.anchor_timestep) == (2, ["1"], "video")
    assert made.transformer["num_layers"] == 4


@pytest.mark.parametrize("name", PRESETS)
def test_fewer_blocks_take_their_audio_layers_with_them(name: str) -> None:
    with torch.device("meta"):
        assert list(preset(name).build(num_layers=2).audio_attention) == ["0"]
        with pytest.raises(ModelInputError, match=r"audio layers \[2\] do not exist"):
            preset(name).build(num_layers=2, audio_layers=(0, 2))
