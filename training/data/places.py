"""The words that order, reading and the loop share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """A sample's turn.

    Attributes:
        epoch: from 0.
        row: of the sample in the ``ShardIndex``.
        counted: False for a stand-in, which a rank computes with weight 0 because it has no sample of its own in a short batch: all ranks take part in
            every collective operation.
    """

    epoch: int
    row: int
    counted: bool = True
