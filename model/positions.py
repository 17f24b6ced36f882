"""Where anchors stand in time. Position alone tells the network what an anchor is.

Gloria, section 3 (RoPE as weak condition): an anchor's tokens get RoPE(t + o_i + so_j, h, w) with an offset o_i per kind and so_j per
subclass, on the temporal axis only. Here o_i = first + kind_step * code and so_j = subclass_step * code, with the codes of
``schemas.vocabulary``, and t = 0, because an anchor is a single frame. A sample may carry several anchors of one class; the n-th of
them stands repeat_step * n further on, still nearer to its class than to any other.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Protocol, Self

from model.errors import ModelInputError
from schemas.vocabulary import SUBCLASSES, AnchorKind, Coded

TOO_NEAR = 1e-6
"""Positions nearer to one another than this are one: no attention tells them apart, whether they differ in their last bits or not at all."""


@dataclass(frozen=True, slots=True)
class AnchorClass:
    """What an anchor shows: its kind and, but for a global anchor, the Viewpoint or Expression.

    Raises:
        ModelInputError: the subclass is not one of the kind's.
    """

    kind: AnchorKind
    subclass: Coded | None = None

    def __post_init__(self) -> None:
        """Check that they belong together."""
        vocabulary = SUBCLASSES[self.kind]
        if (self.subclass is not None) if vocabulary is None else not isinstance(self.subclass, vocabulary):
            words = "none" if vocabulary is None else f"one of {', '.join(vocabulary.words())}"
            raise ModelInputError(f"a {self.kind.word} anchor's subclass is {words}, not {self.subclass!r}")

    @classmethod
    def from_words(cls, kind: str, subclass: str | None) -> Self:
        """From the words that tables and samples store.

        Raises:
            ModelInputError: a word that is not in the vocabulary; the message lists those that are.
        """
        try:
            member = AnchorKind.from_word(kind)
            vocabulary = SUBCLASSES[member]
            if vocabulary is None and subclass is not None:
                raise ValueError(f"a {member.word} anchor's subclass is none, not {subclass!r}")
            return cls(member, vocabulary.from_word(subclass) if vocabulary is not None and subclass is not None else None)
        except ValueError as error:
            raise ModelInputError(str(error)) from None

    @classmethod
    def all(cls) -> list[Self]:
        """Every class there is, in the order of the codes."""
        return [cls(kind, subclass) for kind, vocabulary in SUBCLASSES.items() for subclass in (sorted(vocabulary) if vocabulary else [None])]

    def __str__(self) -> str:
        return self.kind.word if self.subclass is None else f"{self.kind.word} {self.subclass.word}"


class Positions(Protocol):
    """Where the anchors of a sample stand in time, in latent frames: ``AnchorPositions``, or what it is compared with."""

    def of(self, anchors: Sequence[AnchorClass]) -> list[float]:
        """The position of each anchor of one sample, in the order given."""
        ...


@dataclass(frozen=True, slots=True)
class AnchorPositions:
    """The temporal positions of anchors, in latent frames. Video frames stand at 0 .. longest_chunk - 1.

    The defaults leave room for 32 latent frames (125 frames of video) and for eight subclasses of a kind.

    Raises:
        ModelInputError: two anchors, or an anchor and a video frame, would share a position.
    """

    first: float = 32.0
    """position of the first kind"""
    kind_step: float = 16.0
    """from one kind to the next"""
    subclass_step: float = 2.0
    """from one subclass to the next"""
    repeat_step: float = 0.25
    """from one anchor of a class to the next of the same class in a sample"""
    most_repeats: int = 4
    """anchors of one class in a sample, at most"""
    longest_chunk: int = 32
    """latent frames"""

    def __post_init__(self) -> None:
        """Check that everybody stands alone."""
        taken = [(float(frame), f"video frame {frame}") for frame in range(self.longest_chunk)]
        taken += [(self._position(anchor, repeat), f"{anchor} number {repeat}") for anchor in AnchorClass.all() for repeat in range(self.most_repeats)]
        if nowhere := [name for position, name in taken if not isfinite(position)]:
            raise ModelInputError(f"anchor positions: {nowhere[0]} would stand nowhere; give finite steps")
        for (position, one), (next_position, other) in pairwise(sorted(taken)):
            if next_position - position < TOO_NEAR:
                raise ModelInputError(f"anchor positions: {one} and {other} would both stand at {position}; change the steps")

    def of(self, anchors: Sequence[AnchorClass]) -> list[float]:
        """The position of each anchor of one sample, in the order given.

        Raises:
            ModelInputError: more anchors of one class than most_repeats.
        """
        seen: Counter[AnchorClass] = Counter()
        positions = []
        for anchor in anchors:
            if seen[anchor] == self.most_repeats:
                raise ModelInputError(f"more than {self.most_repeats} anchors of class {anchor}; leave some out")
            positions.append(self._position(anchor, seen[anchor]))
            seen[anchor] += 1
        return positions

    def _position(self, anchor: AnchorClass, repeat: int) -> float:
        code = 0 if anchor.subclass is None else int(anchor.subclass)
        return self.first + self.kind_step * int(anchor.kind) + self.subclass_step * code + self.repeat_step * repeat
