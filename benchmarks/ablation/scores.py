"""Whether a generated clip follows the text or pastes its anchors, and whether it took what it shows from the right ones.

Frames are (B, 3, T, SIDE, SIDE), -1..1, generated for ``drawn.Samples`` from their captions and their anchors outside.
"""

from dataclasses import dataclass

from torch import Tensor

from benchmarks.ablation.drawn import PLAIN_EMBLEM, PLAIN_MOUTH, WALL, Samples


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one network.

    Attributes:
        paste: how far the generated background has gone from the one that the text tells (0) to the anchors' (1), by least squares over all clips.
        view: share of clips whose emblem is nearest to that of the asked view, among the character's; 1 / views is chance.
        expression: share of clips whose mouth is nearest to that of the asked expression; 1 / expressions is chance.
    """

    paste: float
    view: float
    expression: float

    @property
    def choice(self) -> float:
        """Share of all these choices that are right."""
        return (self.view + self.expression) / 2


def score(frames: Tensor, samples: Samples) -> Scores:
    """Measure the clips that were generated for these samples."""
    characters = samples.characters
    return Scores(
        paste=paste(_mean(frames, WALL), samples.scenes.colours, samples.other_scenes.colours),
        view=chosen(_mean(frames, PLAIN_EMBLEM), characters.emblems, samples.views),
        expression=chosen(_mean(frames, PLAIN_MOUTH), characters.mouths, samples.expressions),
    )


def paste(generated: Tensor, told: Tensor, shown: Tensor) -> float:
    """The slope of generated - told over shown - told; colours are (B, 3)."""
    gone, way = generated - told, shown - told
    return float((gone * way).sum() / way.square().sum())


def chosen(generated: Tensor, known: Tensor, asked: Tensor) -> float:
    """Share of colours (B, 3) whose nearest among the known, (B, N, 3), is the asked one, (B,)."""
    nearest = (generated[:, None] - known).norm(dim=-1).argmin(dim=1)
    return float((nearest == asked).float().mean())


def _mean(frames: Tensor, patch: tuple[slice, slice]) -> Tensor:
    """Mean colour of a patch in all frames, (B, 3)."""
    rows, columns = patch
    return frames[..., rows, columns].mean(dim=(2, 3, 4))
