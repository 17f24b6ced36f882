"""The arms: what each has instead of what the paper has."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from benchmarks.ablation.positions import KindPositions, RandomOrderPositions, SharedPosition
from benchmarks.ablation.scores import Scores
from model.positions import AnchorPositions, Positions

OUTSIDE_SHARE = 0.5
"""Of the superset's anchors."""
MOST_PASTE, LEAST_PASTE = 0.1, 0.9
"""With the superset at most, with anchors from the clip alone at least."""
LEAST_CHOICE, MOST_CHOICE = 0.95, 0.45
"""With class offsets at least, with other positions at most."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to train.

    Attributes:
        outside_share: probability that an anchor comes from outside the clip; 0 takes those of the clip alone.
        positions: where anchors stand, by the seed.
        pastes: the network is expected to paste the anchors' background.
        chooses: the network is expected to choose the right anchor; None where nothing is expected.
    """

    outside_share: float
    positions: Callable[[int], Positions]
    pastes: bool
    chooses: bool | None

    def met(self, scores: Scores) -> bool:
        """Whether a network came out as expected."""
        pasted = scores.paste > LEAST_PASTE if self.pastes else scores.paste < MOST_PASTE
        chosen = self.chooses is None or (scores.choice > LEAST_CHOICE if self.chooses else scores.choice < MOST_CHOICE)
        return pasted and chosen


ARMS: Mapping[str, Arm] = MappingProxyType(
    {
        "superset, class offsets": Arm(OUTSIDE_SHARE, lambda _: AnchorPositions(), pastes=False, chooses=True),
        "anchors from the clip alone": Arm(0.0, lambda _: AnchorPositions(), pastes=True, chooses=None),
        "one position for all": Arm(OUTSIDE_SHARE, lambda _: SharedPosition(), pastes=False, chooses=False),
        "random order": Arm(OUTSIDE_SHARE, RandomOrderPositions, pastes=False, chooses=False),
        "kinds alone": Arm(OUTSIDE_SHARE, lambda _: KindPositions(), pastes=False, chooses=False),
    }
)
"""By name. The first is the paper's: o_i + so_j, anchors from inside and outside. `kinds alone` has o_i without so_j."""
