"""Verdicts: what a judge answered to a question, as rows of the verdicts table."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import pyarrow as pa

from schemas.tables import VERDICTS
from schemas.vocabulary import Agreement, Flaw, PendingReason, QuestionKind


@dataclass(frozen=True, slots=True)
class Verdict:
    """A row of the verdicts table; see there for what each field is."""

    verdict_id: str
    video_id: str
    character_id: str
    subject: str
    question: QuestionKind
    stated: str | None
    named: str | None
    same_person: Agreement | None
    flaws: tuple[Flaw, ...]
    certainty: int | None
    caption: str | None
    problem: PendingReason | None
    message: str | None
    answer: str | None
    finish_reason: str | None
    model: str
    prompt: str
    prompt_version: str
    prompt_hash: str
    picture_hash: str
    pictures: int
    request_id: str
    attempts: int
    repaired: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_seconds: float | None
    answered_at: datetime

    @property
    def is_final(self) -> bool:
        """Whether it needs not be asked again: it is an answer, or a problem that would come again."""
        return self.problem is None or self.problem.is_final

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Verdict":
        """The verdict of a row."""
        words: dict[str, Any] = {
            "question": QuestionKind(row["question"]),
            "same_person": None if row["same_person"] is None else Agreement(row["same_person"]),
            "flaws": tuple(Flaw(word) for word in row["flaws"] or ()),
            "problem": None if row["problem"] is None else PendingReason(row["problem"]),
        }
        return cls(**{field.name: row[field.name] for field in fields(cls) if field.name not in words}, **words)


def verdict_rows(verdicts: Iterable[Verdict]) -> pa.Table:
    """Verdicts as rows of the table."""
    return VERDICTS.from_rows({**asdict(verdict), "flaws": list(map(str, verdict.flaws))} for verdict in verdicts)
