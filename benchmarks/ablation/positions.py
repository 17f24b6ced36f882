"""Where anchors stand in time when it is not their class that tells: what the class's own position is measured against.

Each takes the place of ``model.positions.AnchorPositions``.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from model.positions import AnchorClass, AnchorPositions


@dataclass(frozen=True, slots=True)
class SharedPosition:
    """One position for all."""

    position: float = AnchorPositions().first

    def of(self, anchors: Sequence[AnchorClass]) -> list[float]:
        """The position, for each."""
        return [self.position] * len(anchors)


@dataclass(frozen=True, slots=True)
class KindPositions:
    """A position for each kind and none for subclasses: o_i without so_j."""

    positions: AnchorPositions = field(default_factory=AnchorPositions)

    def of(self, anchors: Sequence[AnchorClass]) -> list[float]:
        """Where the first subclass of each one's kind would stand."""
        return [self.positions.first + self.positions.kind_step * int(anchor.kind) for anchor in anchors]


class RandomOrderPositions:
    """The positions of the classes, dealt out to the anchors in random order, another one for each sample."""

    def __init__(self, seed: int = 0, positions: AnchorPositions | None = None) -> None:
        """Begin the random orders that follow from the seed."""
        self._positions = positions or AnchorPositions()
        self._random = random.Random(seed)

    def of(self, anchors: Sequence[AnchorClass]) -> list[float]:
        """As AnchorPositions.of, shuffled."""
        positions = self._positions.of(anchors)
        self._random.shuffle(positions)
        return positions
