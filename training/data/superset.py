"""Superset anchoring: which anchors of those that a sample carries the network is given (Gloria, section 3).

Anchors come from inside and from outside the clip. Were all from inside, copying them would be a perfect answer; those from outside show the
same character in another moment, so that only what is the character's own helps. How many are given changes from sample to sample, none included
(mixed ratio): the network has to do with what is there.
"""

from collections import Counter
from collections.abc import Sequence

import torch

from model.positions import AnchorClass, AnchorPositions
from schemas.sample import SampleAnchor
from training.data.draws import check_weights, weighted_count
from training.errors import TrainingError
from training.options import SupersetOptions, anchor_kinds


def draw_anchors(
    anchors: Sequence[SampleAnchor], options: SupersetOptions, generator: torch.Generator, most_repeats: int = AnchorPositions().most_repeats
) -> list[int]:
    """Draw the anchors of a sample.

    How many is drawn first, by ``count_weights``. Then one after another: the side, inside or outside the clip, by ``outside_share``; where a side has none
    left, the other gives, unless the share forbids it; and on that side all that are left alike. An anchor whose class is full is not left.

    Args:
        anchors: those that the sample carries.
        options: how many, of which kinds, from which side.
        generator: decides.
        most_repeats: anchors of one class that the network has positions for.

    Returns:
        Numbers into ``anchors``, ordered by the codes of their classes; of one class in the order drawn, so that the place of an anchor among others of its
        class says nothing of the side that it is from.
    """
    kinds = anchor_kinds(options)
    most = min(options.most_per_class, most_repeats)
    left = [number for number, anchor in enumerate(anchors) if anchor.kind in kinds and _may_give(anchor, options.outside_share)]
    drawn: list[int] = []
    seen: Counter[AnchorClass] = Counter()
    wanted = weighted_count(options.count_weights, generator)
    while left and len(drawn) < wanted and most > 0:
        number = _draw_one(anchors, left, options.outside_share, generator)
        drawn.append(number)
        seen[class_of(anchors[number])] += 1
        left = [other for other in left if other != number and seen[class_of(anchors[other])] < most]
    return sorted(drawn, key=lambda number: class_code(class_of(anchors[number])))


def class_of(anchor: SampleAnchor) -> AnchorClass:
    """What an anchor shows, in the network's words."""
    return AnchorClass(anchor.kind, anchor.subclass)


def class_code(anchor: AnchorClass) -> tuple[int, int]:
    """Codes of kind and subclass, which order the classes."""
    return int(anchor.kind), 0 if anchor.subclass is None else int(anchor.subclass)


def check_superset(options: SupersetOptions) -> None:
    """The options must make sense.

    Raises:
        TrainingError: they do not; the message says what to change.
    """
    check_weights("--superset.count-weights", options.count_weights)
    if not 0 <= options.outside_share <= 1:
        raise TrainingError(f"--superset.outside-share {options.outside_share}: a probability is from 0 to 1; 0 takes anchors from inside the clip alone")
    if options.most_per_class < 1:
        raise TrainingError(f"--superset.most-per-class {options.most_per_class}: must be 1 or more; to give no anchors, set --superset.count-weights 1")


def _may_give(anchor: SampleAnchor, outside_share: float) -> bool:
    return outside_share > 0 if not anchor.inside_clip else outside_share < 1


def _draw_one(anchors: Sequence[SampleAnchor], left: Sequence[int], outside_share: float, generator: torch.Generator) -> int:
    side, among = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    inside = [number for number in left if anchors[number].inside_clip]
    outside = [number for number in left if not anchors[number].inside_clip]
    giving = (outside if side < outside_share else inside) or outside or inside
    return giving[int(among * len(giving))]
