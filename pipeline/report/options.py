"""What can be chosen about the report."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """How a run is shown.

    Attributes:
        decoder: backend that reads the frames.
        threads: of a worker's decoder.
        embedded: characters whose contact sheet is shown inside the page; the others are linked.
    """

    decoder: Literal["pyav", "decord"] = "pyav"
    threads: int = 1
    embedded: int = 60

    def __post_init__(self) -> None:
        if self.embedded < 0 or self.threads < 1:
            raise ValueError(f"embedded must not be negative and threads must be at least 1: {self}")
