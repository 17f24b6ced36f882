"""Loading a network whole or not at all."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModel

from model.errors import ModelInputError
from model.pretrained import load_frozen

KIND = "clip_vision_model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = CLIPVisionConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=4, patch_size=2)
    CLIPVisionModel(config).train().save_pretrained(tmp_path / "network")
    return tmp_path / "network"


def rewrite(folder: Path, name: str, tensor: torch.Tensor | None) -> None:
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors[name]
    save_file(tensors if tensor is None else {**tensors, name: tensor}, weights, metadata={"format": "pt"})


def test_a_network_comes_complete_and_frozen(folder: Path) -> None:
    network = load_frozen(CLIPVisionModel, folder, KIND, dtype=torch.bfloat16)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert network.dtype == torch.bfloat16
    stored = load_file(folder / "model.safetensors")["post_layernorm.weight"]
    assert torch.equal(network.post_layernorm.weight.float(), stored.bfloat16().float())


def test_a_missing_weight_is_told_unless_it_is_optional(folder: Path) -> None:
    rewrite(folder, "post_layernorm.bias", None)
    with pytest.raises(ModelInputError, match=r"lack what a clip_vision_model of its config\.json needs \(post_layernorm\.bias"):
        load_frozen(CLIPVisionModel, folder, KIND)
    load_frozen(CLIPVisionModel, folder, KIND, ["post_layernorm.bias"])


def test_a_weight_of_another_size_is_told(folder: Path) -> None:
    rewrite(folder, "post_layernorm.bias", torch.zeros(9))
    with pytest.raises(ModelInputError, match=r"weights in .*network"):
        load_frozen(CLIPVisionModel, folder, KIND)


def test_another_kind_is_told(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "umt5"}))
    with pytest.raises(ModelInputError, match="holds a umt5, not a clip_vision_model"):
        load_frozen(CLIPVisionModel, folder, KIND)


def test_weights_that_are_not_there_or_broken_are_told(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelInputError, match="cannot be loaded into a clip_vision_model"):
        load_frozen(CLIPVisionModel, folder, KIND)
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelInputError, match="cannot be loaded into a clip_vision_model"):
        load_frozen(CLIPVisionModel, folder, KIND)
