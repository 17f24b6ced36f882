from typing import Any, get_args

import pytest
import torch
from torch import nn

from model.conditions.words import WordEmbedding
from model.presets import PRESETS, preset
from tests.training.small_training import small_checkpoint
from training.errors import TrainingError
from training.network import TrainedNetwork
from training.options import Trained
from training.stages import freeze_others, group_of, trained_parameters


def whole(name: str) -> TrainedNetwork:
    """Of a preset, without numbers."""
    with torch.device("meta"):
        return TrainedNetwork(preset(name).build(num_layers=5), WordEmbedding() if name == "tiny" else None)


def named(module: nn.Module, parts: list[Any]) -> set[str]:
    """Names in a module of the parameters of its parts."""
    wanted = {id(each) for part in parts if part is not None for each in (part.parameters() if isinstance(part, nn.Module) else [part])}
    return {name for name, parameter in module.named_parameters() if id(parameter) in wanted}


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_parameter_is_in_the_group_of_what_it_does(name: str) -> None:
    network = whole(name)
    transformer, blocks = network.transformer, network.transformer.blocks
    embedder = transformer.condition_embedder
    truth: dict[str, list[Any]] = {
        "audio": [transformer.audio_embedder, transformer.audio_attention],
        "self_attention": [block.attn1 for block in blocks],
        "cross_attention": [part for block in blocks for part in (block.attn2, block.norm2)],
        "feed_forward": [block.ffn for block in blocks],
        "modulation": [*(block.scale_shift_table for block in blocks), embedder.time_embedder, embedder.time_proj],
        "embeddings": [transformer.patch_embedding, embedder.text_embedder, embedder.image_embedder],
        "head": [transformer.proj_out, transformer.scale_shift_table],
        "text": [network.text_encoder],
    }
    found = {group: {each for each, _ in network.named_parameters() if group_of(each) == group} for group in get_args(Trained)}
    assert found == {group: named(network, parts) for group, parts in truth.items()}
    assert set().union(*found.values()) == {each for each, _ in network.named_parameters()}


def test_others_are_frozen() -> None:
    network = TrainedNetwork.of(small_checkpoint())
    freeze_others(network, ("audio", "head"))
    trained = trained_parameters(network)
    assert {group_of(name) for name in trained} == {"audio", "head"}
    assert all(parameter.requires_grad == (name in trained) for name, parameter in network.named_parameters())
    freeze_others(network, get_args(Trained))
    assert len(trained_parameters(network)) == len(list(network.parameters()))


def test_a_group_that_there_is_not() -> None:
    network = TrainedNetwork.of(small_checkpoint())
    with pytest.raises(TrainingError, match="there is no group of parameters sound; there are audio, self_attention"):
        freeze_others(network, ("sound",))  # type: ignore[arg-type]


def test_nothing_to_be_trained() -> None:
    network = TrainedNetwork(preset("tiny").build(num_layers=1, audio_dim=None, audio_layers=()), None)
    with pytest.raises(TrainingError, match=r"with --trained audio text nothing is trained: this network has cross_attention, embeddings, .*self_attention$"):
        freeze_others(network, ("audio", "text"))
