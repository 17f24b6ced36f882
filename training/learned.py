"""What a step was like: the words between the loop and those who tell of it."""

from dataclasses import dataclass, field

from torch import Tensor

from training.data.sample import Skipped


@dataclass(slots=True)
class Learned:
    """What a step was like.

    Attributes:
        loss: mean over the samples of all ranks.
        samples: of all ranks, without those that were skipped.
        gradient_norm: before clipping.
        rate: the learning rate that it was taken with.
        stop: some rank was asked to end.
    """

    loss: float
    samples: int
    gradient_norm: float
    rate: float
    stop: bool


@dataclass(slots=True)
class Seen:
    """What this rank saw in a step."""

    losses: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
