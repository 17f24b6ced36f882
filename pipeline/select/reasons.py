"""Reasons of many candidates at once: one reason each, the first that applied."""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.table import WORD
from schemas.vocabulary import RejectReason

_REASONS = list(RejectReason)


class Reasons:
    """The reject reasons of N candidates; none at first.

    Attributes:
        codes: (N,) int8 position of the reason in RejectReason, -1 while there is none.
    """

    def __init__(self, count: int) -> None:
        self.codes: NDArray[np.int8] = np.full(count, -1, np.int8)

    @property
    def free(self) -> NDArray[np.bool_]:
        """(N,) the candidates without a reason."""
        return np.asarray(self.codes < 0)

    def add(self, applies: NDArray[np.bool_], reason: RejectReason) -> None:
        """Give a reason to the candidates to which it applies and which have none yet."""
        self.codes[self.free & applies] = _REASONS.index(reason)

    def add_each(self, other: "Reasons") -> None:
        """Give each candidate without a reason the one it has in another set."""
        self.codes = np.where(self.free, other.codes, self.codes)

    def set_rows(self, rows: NDArray[np.int64] | slice, reasons: list[RejectReason | None]) -> None:
        """Reasons of some candidates from a list."""
        self.codes[rows] = [-1 if reason is None else _REASONS.index(reason) for reason in reasons]

    def only(self, *reasons: RejectReason) -> NDArray[np.bool_]:
        """(N,) the candidates whose reason is one of these."""
        return np.isin(self.codes, [_REASONS.index(reason) for reason in reasons])

    def column(self) -> pa.DictionaryArray:
        """The words as a column of a table, null where there is none."""
        return words_column(self.codes.astype(np.int64), [str(reason) for reason in _REASONS])


def words_column(codes: NDArray[np.int64], words: list[str]) -> pa.DictionaryArray:
    """Codes (positions in ``words``; negative is null) as a dictionary column of the tables."""
    indices = pa.array(codes.astype(np.int8), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words)).cast(WORD)
