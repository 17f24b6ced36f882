import pyarrow as pa

from pipeline.refine.bins import Bins
from pipeline.refine.candidates import Candidates
from pipeline.refine.decisions import Ruling
from pipeline.refine.fates import Fate, find_fates, with_column, with_fates
from schemas.tables import ANCHORS
from schemas.vocabulary import AnchorKind, Decision, PendingReason, RejectReason, Status
from tests.pipeline.refine.made_character import RANKING, SURE, Seen, rows_by_name, selected

CROWD = [Seen(0, score=0.9), Seen(1, score=0.8), Seen(10, score=0.7), Seen(20, score=0.6, reason="blurred")]


def test_a_column_is_replaced_and_some_rows_have_values_of_their_own() -> None:
    table = pa.concat_tables([selected(CROWD[:2]), selected(CROWD[2:])])
    changed = with_column(table, "reason", table["selected_reason"], {3: "outranked", 0: "covered"})
    assert changed["reason"].to_pylist() == ["covered", "too_close_in_time", None, "outranked"]
    assert changed.schema.equals(table.schema, check_metadata=True)
    assert with_column(table, "rank", table["selected_rank"], {1: 7, 0: None})["rank"].to_pylist() == [None, 7, 0, None]
    assert with_column(table, "reason", table["selected_reason"], {})["reason"].to_pylist() == table["reason"].to_pylist()


def test_fates_are_written_and_all_others_are_as_select_left_them() -> None:
    table = selected(CROWD)
    fate = Fate(Status.REJECTED, RejectReason.JUDGED_BLURRED, None, "happy", Decision.REJECT, "v")
    judged = with_fates(with_fates(table, {0: fate, 1: fate}), {1: fate})
    assert judged.schema.equals(ANCHORS.schema, check_metadata=True)
    assert [(row["status"], row["reason"], row["rank"], row["decision"], row["verdict_id"]) for row in judged.to_pylist()] == [
        ("accepted", None, 0, None, None),
        ("rejected", "judged_blurred", None, "reject", "v"),
        ("accepted", None, 1, None, None),
        ("rejected", "blurred", None, None, None),
    ]
    assert with_fates(judged, {}).equals(table)


def test_only_those_concerned_have_a_fate() -> None:
    table = selected(CROWD)
    bins = Bins(Candidates.of_kind(table, AnchorKind.EXPRESSION, SURE), 4, 3, RANKING)
    first = bins.next_round()[0]
    bins.note(first, Ruling(Decision.RELABEL, "sad", None, "v"))
    bins.settle()
    names = {table["anchor_id"][row].as_py(): fate for row, fate in find_fates(bins, table).items()}
    assert names == {
        "expression-0": Fate(Status.ACCEPTED, None, 0, "sad", Decision.RELABEL, "v"),
        "expression-1": Fate(Status.PENDING, PendingReason.NOT_ASKED, 0, "happy", Decision.PENDING, None),
        "expression-10": Fate(Status.PENDING, PendingReason.NOT_ASKED, 1, "happy", Decision.PENDING, None),
    }
    assert rows_by_name(with_fates(table, find_fates(bins, table)))["expression-20"]["reason"] == "blurred"


def test_a_global_anchor_has_no_class() -> None:
    table = selected([Seen(0, kind="global", subclass=None)])
    bins = Bins(Candidates.of_kind(table, AnchorKind.GLOBAL, SURE), 2, 3, RANKING)
    bins.note(0, Ruling(Decision.ACCEPT, "front", None, "v"))
    bins.settle()
    assert find_fates(bins, table) == {0: Fate(Status.ACCEPTED, None, 0, None, Decision.ACCEPT, "v")}
