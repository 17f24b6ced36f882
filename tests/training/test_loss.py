import torch
from torch import Tensor, nn

from tests.training.held_out import sample
from tests.training.small_training import small_checkpoint
from training.conditioning import Conditioner, TrainingBatch
from training.loss import velocity_losses
from training.network import TrainedNetwork


class Fixed(nn.Module):
    """Says what it was told to, whatever it sees."""

    def __init__(self, velocity: Tensor) -> None:
        super().__init__()
        self.velocity = nn.Parameter(velocity)

    def forward(self, _: object) -> Tensor:
        return self.velocity


def batch(given: int) -> TrainingBatch:
    return Conditioner(small_checkpoint(), "cpu")([sample("a", 1), sample("b", 2, anchors=0)], given=given)


def test_each_sample_has_the_mean_square_of_its_own_frames() -> None:
    made = batch(given=1)
    said = torch.randn(made.clean.shape, generator=torch.Generator().manual_seed(0))
    error = (said - (made.noise - made.clean))[:, :, 1:]
    assert torch.allclose(velocity_losses(Fixed(said), made), error.square().flatten(1).mean(1))


def test_given_frames_teach_nothing() -> None:
    made = batch(given=2)
    network = Fixed(torch.zeros(made.clean.shape))
    velocity_losses(network, made).sum().backward()
    gradient = network.velocity.grad
    assert gradient is not None
    assert not gradient[:, :, :2].any()
    assert gradient[:, :, 2:].all()


def test_the_right_velocity_has_no_loss() -> None:
    made = batch(given=0)
    assert not velocity_losses(Fixed(made.noise - made.clean), made).any()


def test_anchors_are_looked_at_and_not_learned() -> None:
    """The network says nothing of them, so that there is nothing to compare; what they show changes what it says of the video."""
    checkpoint = small_checkpoint()
    network, conditioner = TrainedNetwork.of(checkpoint), Conditioner(checkpoint, "cpu")
    made = conditioner([sample("a", 1)])
    anchors = made.inputs.anchors
    assert anchors is not None
    velocity = network(made.inputs)
    assert velocity.shape == made.clean.shape
    other = network(made.inputs._replace(anchors=anchors + 1))
    assert not torch.equal(velocity, other)
