import io
from dataclasses import replace

import pytest

from pipeline.refine.questions import Picture, Question
from pipeline.refine.verdicts import Verdict, verdict_rows
from schemas.table import read_table, write_table
from schemas.tables import VERDICTS
from schemas.vocabulary import Agreement, Flaw, PendingReason, QuestionKind
from tests.pipeline.refine.made_character import verdict

ASKED = Question(QuestionKind.EXPRESSION, "video", "character", "anchor", "happy", (Picture(0, (0, 0, 9, 9)), Picture(1, (0, 0, 9, 9))), True)
ANSWERED = verdict(ASKED, verdict_id="b", named="sad", same_person=Agreement.UNSURE, flaws=(Flaw.COVERED, Flaw.SPEAKING), certainty=2)
UNANSWERED = verdict(ASKED, verdict_id="a", problem=PendingReason.TIMED_OUT, message="no reply", answer=None, finish_reason=None, latency_seconds=None)


def test_verdicts_are_what_they_were_when_they_come_back_from_a_file() -> None:
    file = io.BytesIO()
    write_table(VERDICTS, verdict_rows([ANSWERED, UNANSWERED]), file)
    file.seek(0)
    assert [Verdict.from_row(row) for row in read_table(VERDICTS, file).to_pylist()] == [UNANSWERED, ANSWERED]


def test_words_come_back_as_members_of_their_vocabularies() -> None:
    (row,) = verdict_rows([ANSWERED]).to_pylist()
    assert (row["question"], row["same_person"], row["flaws"]) == ("expression", "unsure", ["covered", "speaking"])
    back = Verdict.from_row(row)
    assert back.question is QuestionKind.EXPRESSION
    assert back.same_person is Agreement.UNSURE
    assert back.flaws == (Flaw.COVERED, Flaw.SPEAKING)


def test_flaws_that_were_not_asked_for_are_none() -> None:
    (row,) = verdict_rows([ANSWERED]).to_pylist()
    assert Verdict.from_row(row | {"flaws": None}).flaws == ()


@pytest.mark.parametrize(
    ("problem", "final"),
    [
        (None, True),
        (PendingReason.INVALID_JSON, True),
        (PendingReason.WRONG_SCHEMA, True),
        (PendingReason.WRONG_ID, True),
        (PendingReason.CUT_SHORT, True),
        (PendingReason.REFUSED, False),
        (PendingReason.TOO_LARGE, False),
        (PendingReason.NOT_ASKED, False),
        (PendingReason.RATE_LIMITED, False),
        (PendingReason.SERVER_ERROR, False),
        (PendingReason.TIMED_OUT, False),
        (PendingReason.CONNECTION_LOST, False),
        (PendingReason.NO_PICTURE, False),
    ],
)
def test_only_what_would_come_again_is_final(problem: PendingReason | None, final: bool) -> None:
    assert replace(ANSWERED, problem=problem).is_final is final


def test_no_verdicts_are_no_rows() -> None:
    assert verdict_rows([]).equals(VERDICTS.empty())
