"""CLIP's picture tokens, against diffusers' own image-to-video pipeline and against the layers run by hand."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanImageToVideoPipeline
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel

from model.conditions.clip import ClipImageEncoder
from model.conditions.protocols import ImageEncoder
from model.errors import ModelInputError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipeline")
    config = CLIPVisionConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, image_size=28, patch_size=14)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPVisionModel(config).save_pretrained(root / "image_encoder")
    CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(root / "image_processor")
    return root


@pytest.fixture(scope="module")
def encoder(root: Path) -> ClipImageEncoder:
    return ClipImageEncoder.load(root / "image_encoder")


@pytest.fixture(scope="module")
def pictures() -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (2, 40, 64, 3), dtype=np.uint8)


def in_range(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def test_tokens_are_those_of_diffusers_own_pipeline(encoder: ClipImageEncoder, pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    parts: dict[str, Any] = dict.fromkeys(["tokenizer", "text_encoder", "vae", "scheduler", "transformer"])
    pipeline = WanImageToVideoPipeline(**parts, image_encoder=encoder._encoder, image_processor=encoder._processor)
    with torch.no_grad():
        expected = torch.cat([pipeline.encode_image(Image.fromarray(picture), torch.device("cpu")) for picture in pictures])
    checked: ImageEncoder = encoder
    tokens = checked.encode(in_range(pictures))
    assert tokens.shape == (2, checked.length, checked.dim) == (2, 5, 32)
    assert not tokens.requires_grad
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-6)


def test_tokens_are_what_the_last_layer_but_one_puts_out(encoder: ClipImageEncoder, pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    model = encoder._encoder
    pixels = encoder._processor(images=[Image.fromarray(picture) for picture in pictures], return_tensors="pt").pixel_values
    with torch.no_grad():
        states = model.pre_layrnorm(model.embeddings(pixels))
        for layer in model.encoder.layers[:-1]:
            states = layer(states, attention_mask=None)
            states = states[0] if isinstance(states, tuple) else states
    torch.testing.assert_close(encoder.encode(in_range(pictures)), states, rtol=0, atol=1e-6)


def test_a_checkpoint_of_older_versions_with_prefixed_names_loads(root: Path, encoder: ClipImageEncoder, tmp_path: Path) -> None:
    older = Path(shutil.copytree(root, tmp_path / "older")) / "image_encoder"
    weights = older / "model.safetensors"
    save_file({f"vision_model.{name}": tensor for name, tensor in load_file(weights).items()}, weights, metadata={"format": "pt"})
    picture = torch.zeros(1, 3, 30, 30)
    assert torch.equal(ClipImageEncoder.load(older).encode(picture), encoder.encode(picture))


def test_saved_loads_again_and_moves(encoder: ClipImageEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "image_encoder")
    again = ClipImageEncoder.load(tmp_path / "image_encoder")
    picture = torch.linspace(-1, 1, 3 * 28 * 28).view(1, 3, 28, 28)
    assert torch.equal(again.encode(picture), encoder.encode(picture))
    assert again.to("cpu", torch.bfloat16).encode(picture).dtype == torch.bfloat16


def test_wrong_input_is_told(encoder: ClipImageEncoder, root: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelInputError, match=r"must be of shape \(batch, 3, height, width\), not \(3, 28, 28\)"):
        encoder.encode(torch.zeros(3, 28, 28))
    bare = Path(shutil.copytree(root / "image_encoder", tmp_path / "image_encoder"))
    with pytest.raises(ModelInputError, match="there is no image processor in"):
        ClipImageEncoder.load(bare)
    (tmp_path / "image_processor").mkdir()
    with pytest.raises(ModelInputError, match=r"image processor in .* cannot be loaded"):
        ClipImageEncoder.load(bare)
    with pytest.raises(ModelInputError, match=r"has no config\.json"):
        ClipImageEncoder.load(tmp_path)
