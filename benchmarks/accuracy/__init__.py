"""How right the models are on labelled data: one module per question, each with ``measure(data) -> list[Row]``.

Run them all with ``python -m benchmarks.accuracy --data FOLDER``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure.

    Attributes:
        set: the labelled set, its folder's name.
        measure: what the figure is, with the settings that matter, for example ``precision of the most confident 30%``.
        n: how many items (images, pairs, frames) went in, those skipped not counted.
        coverage: share of the n that got an answer, 0..1.
        value: the figure.
        target: what it has to reach (value >= target), or None when there is no target.
        per_class: the same figure per class.
        skipped: how many items were left out, by reason.
        note: what a reader has to know beside that.
    """

    set: str
    measure: str
    n: int
    coverage: float
    value: float
    target: float | None = None
    per_class: Mapping[str, float] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without a target."""
        return None if self.target is None else self.value >= self.target
