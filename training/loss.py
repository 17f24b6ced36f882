"""The loss: the flow matching loss of the video's tokens. Anchors and given frames are looked at, not learned."""

from torch import Tensor, nn

from model.flow import flow_losses
from training.conditioning import TrainingBatch


def velocity_losses(network: nn.Module, batch: TrainingBatch) -> Tensor:
    """The loss of each sample of a batch, (B,) float32, without its weight.

    Args:
        network: a TrainedNetwork, wrapped or not.
        batch: from the ``Conditioner``.
    """
    velocity = network(batch.inputs)
    return flow_losses(velocity, batch.clean, batch.noise, batch.learned)
