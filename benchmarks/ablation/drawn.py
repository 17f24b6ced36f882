"""Drawn characters: coloured patches of which nothing but the anchor's position tells the view and the expression that they show.

A character has a body colour, an emblem of another colour from each side, and a mouth of another colour with each expression, all random: one has to have seen
it from the left to know its left emblem, and a picture of it does not tell that it was taken from the left. It stands before a wall whose colour the caption
names. In the clip it opens its eye. Its anchors come from the clip (inside) and from before another wall (outside).

Every patch of a picture is a token of the network and bears the mark of what it is, an emblem or a mouth or a body: a network that knows of places only how far
they are from one another cannot tell otherwise which patch a noisy token is to become, and that would have to be learned before anything that is measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from model.positions import AnchorClass
from schemas.vocabulary import AnchorKind, Coded, Expression, Viewpoint

VIEWS = tuple(Viewpoint)
EXPRESSIONS = (Expression.NEUTRAL, Expression.HAPPY, Expression.SAD)
CLASSES = (
    AnchorClass(AnchorKind.GLOBAL),
    *(AnchorClass(AnchorKind.VIEWPOINT, view) for view in VIEWS),
    *(AnchorClass(AnchorKind.EXPRESSION, expression) for expression in EXPRESSIONS),
)
"""Of the anchors that every sample has, inside and outside, in this order."""

PATCH = 4
"""Pixels of a patch, down and across."""
SIDE = 2 * PATCH
"""Pixels of a picture, down and across."""
WALL = slice(0, PATCH), slice(0, PATCH)
"""Rows and columns, as those of the others."""
BODY = slice(0, PATCH), slice(PATCH, SIDE)
EMBLEM = slice(PATCH, SIDE), slice(0, PATCH)
MOUTH = slice(PATCH, SIDE), slice(PATCH, SIDE)
MARKS = (
    ((slice(PATCH, PATCH + 1), EMBLEM[1]), 1.0),
    ((slice(SIDE - 1, SIDE), MOUTH[1]), -1.0),
    ((BODY[0], slice(SIDE - 1, SIDE)), -1.0),
)
"""Where they are, and how bright: a white row above the emblem, a black one below the mouth, a black column beside the body."""
PLAIN_EMBLEM = slice(PATCH + 1, SIDE), EMBLEM[1]
PLAIN_MOUTH = slice(PATCH, SIDE - 1), MOUTH[1]
"""What the mark leaves of them."""
EYE = slice(1, 3), slice(PATCH, PATCH + 1)
"""White when it is open, else black."""
FRAMES = 2
"""Of a clip; the eye is shut in the first, open in the second."""
MOST_COLOUR = 0.9
"""Colours of characters are -0.9..0.9 in each channel."""

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (200, 40, 40),
        "orange": (235, 140, 40),
        "yellow": (230, 215, 70),
        "green": (50, 150, 60),
        "teal": (40, 170, 170),
        "blue": (45, 70, 200),
        "purple": (130, 50, 170),
        "pink": (235, 130, 185),
        "brown": (115, 70, 40),
        "white": (225, 225, 225),
        "grey": (128, 128, 128),
        "black": (30, 30, 30),
    }
)
"""Of scenes, as captions name them: red, green, blue, 0..255."""


@dataclass(frozen=True, slots=True)
class Characters:
    """Colours of B characters, -1..1.

    Attributes:
        body: (B, 3).
        emblems: (B, views, 3).
        mouths: (B, expressions, 3).
    """

    body: Tensor
    emblems: Tensor
    mouths: Tensor


@dataclass(frozen=True, slots=True)
class Scenes:
    """Of B characters.

    Attributes:
        names: (B,) which of COLOURS.
        colours: (B, 3), the same, -1..1.
    """

    names: Tensor
    colours: Tensor


@dataclass(frozen=True, slots=True)
class Samples:
    """B characters, a clip of each, and its anchors; see CLASSES.

    Attributes:
        characters: whom they show.
        views: (B,) the clip's, which of VIEWS.
        expressions: (B,) the clip's, which of EXPRESSIONS.
        scenes: the clip's, and that of the anchors inside.
        other_scenes: that of the anchors outside.
        clips: (B, 3, FRAMES, SIDE, SIDE), -1..1.
        inside: (B, 3, classes, SIDE, SIDE), -1..1.
        outside: likewise.
    """

    characters: Characters
    views: Tensor
    expressions: Tensor
    scenes: Scenes
    other_scenes: Scenes
    clips: Tensor
    inside: Tensor
    outside: Tensor

    def captions(self) -> list[str]:
        """What the text says of each clip: all that changes from clip to clip but the character."""
        asked = zip(self.views.tolist(), self.expressions.tolist(), self.scenes.names.tolist(), strict=True)
        return [caption(VIEWS[view], EXPRESSIONS[expression], list(COLOURS)[scene]) for view, expression, scene in asked]


def caption(view: Viewpoint, expression: Expression, colour: str) -> str:
    """Such as: left, happy, teal."""
    return f"{view.word}, {expression.word}, {colour}"


def samples(count: int, generator: torch.Generator) -> Samples:
    """Random ones: the same generator, the same samples."""
    characters = _characters(count, generator)
    views, expressions = _which(len(VIEWS), count, generator), _which(len(EXPRESSIONS), count, generator)
    scenes, other_scenes = _scenes(count, generator), _scenes(count, generator)
    frames = [picture(characters, views, expressions, scenes.colours, torch.full((count,), bool(frame % 2))) for frame in range(FRAMES)]
    inside, outside = (_anchors(characters, each.colours, generator) for each in (scenes, other_scenes))
    return Samples(characters, views, expressions, scenes, other_scenes, torch.stack(frames, dim=2), inside, outside)


def picture(characters: Characters, views: Tensor, expressions: Tensor, walls: Tensor, awake: Tensor) -> Tensor:
    """One of each character.

    Args:
        characters: B of them.
        views: (B,) which of VIEWS.
        expressions: (B,) which of EXPRESSIONS.
        walls: (B, 3), -1..1, their colours.
        awake: (B,) bool, the eye is open.

    Returns:
        (B, 3, SIDE, SIDE), -1..1.
    """
    each = torch.arange(len(views))
    drawn = walls.new_empty(len(views), 3, SIDE, SIDE)
    patches = ((WALL, walls), (BODY, characters.body), (EMBLEM, characters.emblems[each, views]), (MOUTH, characters.mouths[each, expressions]))
    for (rows, columns), colours in patches:
        drawn[:, :, rows, columns] = colours[:, :, None, None]
    for (rows, columns), brightness in MARKS:
        drawn[:, :, rows, columns] = brightness
    drawn[:, :, *EYE] = torch.where(awake, 1.0, -1.0)[:, None, None, None]
    return drawn


def _characters(count: int, generator: torch.Generator) -> Characters:
    drawn = (torch.rand(count, number, 3, generator=generator).mul(2).sub(1) * MOST_COLOUR for number in (1, len(VIEWS), len(EXPRESSIONS)))
    body, emblems, mouths = drawn
    return Characters(body[:, 0], emblems, mouths)


def _scenes(count: int, generator: torch.Generator) -> Scenes:
    palette = torch.tensor(list(COLOURS.values())) / 127.5 - 1
    names = _which(len(COLOURS), count, generator)
    return Scenes(names, palette[names])


def _anchors(characters: Characters, walls: Tensor, generator: torch.Generator) -> Tensor:
    """One of each class."""
    drawn = []
    for each in CLASSES:
        views, expressions = (_shown(words, each, len(walls), generator) for words in (VIEWS, EXPRESSIONS))
        drawn.append(picture(characters, views, expressions, walls, _which(2, len(walls), generator).bool()))
    return torch.stack(drawn, dim=2)


def _shown(words: Sequence[Coded], anchor: AnchorClass, count: int, generator: torch.Generator) -> Tensor:
    """Which of the words anchors of a class show: their own, or any: if most expression anchors showed one view, that would tell which it is."""
    own = anchor.subclass
    return torch.full((count,), words.index(own)) if isinstance(own, type(words[0])) else _which(len(words), count, generator)


def _which(number: int, count: int, generator: torch.Generator) -> Tensor:
    """Numbers below ``number``, each as likely: (count,)."""
    return torch.randint(number, (count,), generator=generator)
