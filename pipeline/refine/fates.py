"""Fates: what is written into the anchors table about those candidates that were asked about, chosen or passed over.

Every row starts from what select said, so that a table that was judged before is judged as if it never was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.refine.bins import Bins
from schemas.tables import ANCHORS
from schemas.vocabulary import AnchorKind, Decision, PendingReason, RejectReason, Status

SELECTED = ("status", "reason", "rank", "subclass")
"""Columns that start from what select said; ``selected_`` and their name is where that is kept."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of a candidate; the fields are columns of the anchors table."""

    status: Status
    reason: RejectReason | PendingReason | None
    rank: int | None
    subclass: str | None
    decision: Decision | None
    verdict_id: str | None


def find_fates(bins: Bins, anchors: pa.Table) -> dict[int, Fate]:
    """The fates of one kind's candidates by their row, of those with whom it is not simply as select left it.

    Args:
        bins: settled.
        anchors: the rows that the candidates were taken from.
    """
    candidates = bins.candidates
    concerned = {*np.flatnonzero(candidates.chosen | (bins.places >= 0) | bins.spent).tolist(), *bins.rulings}
    fates = {}
    for number in sorted(concerned):
        row = int(candidates.rows[number])
        fates[row] = _fate(bins, number, anchors["selected_reason"][row].as_py(), anchors["selected_subclass"][row].as_py())
    return fates


def _fate(bins: Bins, number: int, selected_reason: str | None, selected_subclass: str | None) -> Fate:
    ruling, place = bins.rulings.get(number), int(bins.places[number])
    if ruling is not None and ruling.decision is Decision.REJECT:
        return Fate(Status.REJECTED, ruling.reason, None, selected_subclass, ruling.decision, ruling.verdict_id)
    own_class = None if bins.candidates.kind is AnchorKind.GLOBAL else bins.candidates.classes[bins.competes_in[number]]
    if ruling is None and place >= 0:
        return Fate(Status.PENDING, PendingReason.NOT_ASKED, place, own_class, Decision.PENDING, None)
    if ruling is None:
        decision = Decision.PENDING if number in bins.rulings else None
        return Fate(Status.REJECTED, _why_passed_over(bins, number, selected_reason), None, selected_subclass, decision, None)
    if ruling.decision is Decision.PENDING and bins.candidates.doubtful[number]:  # no anchor yet: nobody was sure of it
        return Fate(Status.REJECTED, RejectReason.UNCERTAIN_EXPRESSION, None, selected_subclass, ruling.decision, ruling.verdict_id)
    if place >= 0:
        status = Status.PENDING if ruling.decision is Decision.PENDING else Status.ACCEPTED
        return Fate(status, ruling.reason, place, own_class, ruling.decision, ruling.verdict_id)
    reason = RejectReason.TOO_CLOSE_IN_TIME if bins.too_close[number] else RejectReason.OUTRANKED
    return Fate(Status.REJECTED, reason, None, own_class, ruling.decision, ruling.verdict_id)


def _why_passed_over(bins: Bins, number: int, selected_reason: str | None) -> RejectReason:
    """The reason of one without a verdict: select's own stands, unless select had accepted it."""
    if bins.spent[number]:
        return RejectReason.QUESTIONS_SPENT
    return RejectReason.OUTRANKED if selected_reason is None else RejectReason(selected_reason)


def with_fates(anchors: pa.Table, fates: Mapping[int, Fate]) -> pa.Table:
    """Rows of the anchors table in which candidates have their fates, by row, and all others what select left them."""
    columns = {name: anchors[f"selected_{name}"] for name in SELECTED}
    columns |= {name: pa.nulls(len(anchors), ANCHORS.columns.field(name).type) for name in ("decision", "verdict_id")}
    for name, column in columns.items():
        anchors = with_column(anchors, name, column, {row: getattr(fate, name) for row, fate in fates.items()})
    return anchors


def with_column(table: pa.Table, name: str, column: pa.ChunkedArray | pa.Array, values: Mapping[int, Any]) -> pa.Table:
    """A table with one of its columns replaced by another one, in which some rows have values of their own.

    Args:
        table: of any length N.
        name: of the column.
        column: (N,) what takes its place.
        values: by row.
    """
    position = table.schema.get_field_index(name)
    field = table.schema.field(position)
    plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    own = np.zeros(len(table), bool)
    own[list(values)] = True
    replaced = pc.replace_with_mask(column.cast(plain), pa.array(own), pa.array([values[row] for row in sorted(values)], plain))
    return table.set_column(position, field, replaced.cast(field.type))
