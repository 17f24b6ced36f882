"""Which parameters are trained: groups by what they do in the network, so that a stage can say what it leaves alone."""

from collections.abc import Collection
from typing import get_args

from torch import nn

from model.transformer import NEW_PARAMETERS
from training.errors import TrainingError
from training.network import TrainedNetwork
from training.options import Trained


def group_of(name: str) -> Trained:
    """The group of a parameter of TrainedNetwork, by its name.

    audio: embedding of sound and attention to it. self_attention: among tokens of video and anchors, where anchors act. cross_attention: to text and picture.
    feed_forward: of the blocks. modulation: by the timestep. embeddings: of patches, text tokens and pictures. head: from tokens back to patches.
    text: the text encoder, where it is trained.
    """
    part, _, rest = name.partition(".")
    if part == "text_encoder":
        return "text"
    words = rest.split(".")
    if rest.startswith(NEW_PARAMETERS):
        return "audio"
    if words[0] == "blocks":
        return _IN_BLOCK[words[2]]
    if words[0] == "condition_embedder":
        return "modulation" if words[1].startswith("time_") else "embeddings"
    return "embeddings" if words[0] == "patch_embedding" else "head"


_IN_BLOCK: dict[str, Trained] = {
    "attn1": "self_attention",
    "attn2": "cross_attention",
    "norm2": "cross_attention",
    "ffn": "feed_forward",
    "scale_shift_table": "modulation",
}
"""Of what is in a block, by its first word; norms 1 and 3 of a block have no parameters."""


def freeze_others(network: TrainedNetwork, trained: Collection[Trained]) -> None:
    """Let the parameters of these groups be trained and no others.

    Raises:
        TrainingError: no such group, or nothing would be trained.
    """
    if unknown := sorted(set(trained) - set(get_args(Trained))):
        raise TrainingError(f"there is no group of parameters {', '.join(unknown)}; there are {', '.join(get_args(Trained))}")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(group_of(name) in trained)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        there = sorted({group_of(name) for name, _ in network.named_parameters()})
        raise TrainingError(f"with --trained {' '.join(trained)} nothing is trained: this network has {', '.join(there)}")


def trained_parameters(network: nn.Module) -> dict[str, nn.Parameter]:
    """Those that are trained, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
