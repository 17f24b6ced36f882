"""A character's rows as select leaves them, judges who answer at once, and asking until nothing is open."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.refine.judging import Case, Judgement, judge
from pipeline.refine.options import PictureOptions, PolicyOptions
from pipeline.refine.questions import Question, content_hash
from pipeline.refine.verdicts import Verdict
from pipeline.select.ranking import RankingOptions, rank
from pipeline.select.reasons import Reasons
from schemas.tables import ANCHORS, CLIPS
from schemas.vocabulary import Agreement, Expression, Flaw, PendingReason, QuestionKind, RejectReason, Viewpoint

SECOND = 1_000_000_000
VIDEO = "0123456789abcdef"
ANNA = f"{VIDEO}-c00"
SIZE = (1000, 500)
RANKING = RankingOptions()
QUOTAS = {"global": RANKING.global_anchors, "viewpoint": RANKING.viewpoint_anchors, "expression": RANKING.expression_anchors}
SURE = PolicyOptions(least_confidence=1, relabel_below=1)
CLASSES: dict[str, Sequence[str | None]] = {"global": [None], "viewpoint": Viewpoint.words(), "expression": Expression.words()}

Answer = Callable[[Question], Verdict | None]


@dataclass(frozen=True)
class Seen:
    """A candidate before select ranks it.

    Attributes:
        seconds: when; also its name.
        kind: AnchorKind's word.
        subclass: which the classifier believes, or leans to when it is uncertain.
        score, confidence, quality: as in the table.
        shot: number.
        reason: why select rejects it before ranking.
    """

    seconds: float
    kind: str = "expression"
    subclass: str | None = "happy"
    score: float = 0.5
    shot: int = 0
    reason: str | None = None
    confidence: float = 0.8
    quality: float = 0.6

    @property
    def anchor_id(self) -> str:
        return f"{self.kind}-{self.seconds:g}"


def selected(candidates: Iterable[Seen], ranking: RankingOptions = RANKING) -> pa.Table:
    """The rows that select writes about them; of equals it takes the one that is named first here, whatever the table's order."""
    rows = list(candidates)
    uncertain = [seen.reason == RejectReason.UNCERTAIN_EXPRESSION for seen in rows]
    bins = [list(QUOTAS).index(seen.kind) * 10 + CLASSES[seen.kind].index(seen.subclass) for seen in rows]
    quotas = {"global": ranking.global_anchors, "viewpoint": ranking.viewpoint_anchors, "expression": ranking.expression_anchors}
    reasons, ranks = Reasons(len(rows)), np.full(len(rows), -1, np.int64)
    reasons.set_rows(slice(None), [None if seen.reason is None else RejectReason(seen.reason) for seen in rows])
    for kind, quota in quotas.items():
        own = np.array([number for number, seen in enumerate(rows) if seen.kind == kind], np.int64)
        of_kind = Reasons(len(own))
        of_kind.codes = reasons.codes[own]
        times, shots = (np.array([getattr(rows[number], name) for number in own]) for name in ("seconds", "shot"))
        scores = np.array([rows[number].score for number in own], np.float32)
        places = rank(np.array(bins, np.int64)[own], scores, (times * SECOND).astype(np.int64), shots.astype(np.int64), quota, of_kind, ranking)
        reasons.codes[own], ranks[own] = of_kind.codes, places
    table = []
    for seen, doubtful, reason, place in zip(rows, uncertain, reasons.column().to_pylist(), ranks.tolist(), strict=True):
        row: dict[str, Any] = {"anchor_id": seen.anchor_id, "video_id": VIDEO, "shot_id": str(seen.shot), "track_id": "t", "character_id": ANNA}
        row |= {"pts_ns": round(seen.seconds * SECOND), "kind": seen.kind, "subclass": None if doubtful else seen.subclass}
        row |= {"likeliest": seen.subclass if doubtful else None, "status": "rejected" if reason else "accepted", "reason": reason}
        row |= {"rank": place if place >= 0 else None, "score": seen.score, "confidence": seen.confidence, "quality": seen.quality}
        row |= {"face_box": None if seen.subclass == "back" else [0.4, 0.4, 0.5, 0.6], "body_box": [0.3, 0.3, 0.6, 1.0]}
        table.append({f"selected_{name}": row[name] for name in ("subclass", "status", "reason", "rank")} | row)
    return ANCHORS.from_rows(table)


def clips(*spans: tuple[float, float], reason: str | None = None) -> pa.Table:
    """Clips of these spans in seconds, all accepted by select, or all rejected."""
    rows = []
    for start, end in spans:
        row: dict[str, Any] = {"clip_id": f"clip-{start:g}", "video_id": VIDEO, "shot_id": "0", "track_id": "t", "character_id": ANNA}
        row |= {"start_ns": round(start * SECOND), "end_ns": round(end * SECOND), "frame_count": 81, "frame_rate": 16.0}
        row |= {"status": "rejected" if reason else "accepted", "reason": reason, "visible_share": 1.0, "face_share": 1.0, "others": 0}
        row |= {"anchors_inside": 0, "anchors_outside": 0, "selected_status": "rejected" if reason else "accepted", "selected_reason": reason}
        rows.append(row)
    return CLIPS.from_rows(rows)


def case(candidates: Iterable[Seen], clip_rows: pa.Table | None = None, ranking: RankingOptions = RANKING) -> Case:
    return Case(selected(candidates, ranking), clips() if clip_rows is None else clip_rows, *SIZE)


def verdict(question: Question, **said: Any) -> Verdict:
    """An answer to a question; unless said otherwise, the judge agrees with all that was stated."""
    columns: dict[str, Any] = {
        "verdict_id": content_hash([question.kind, question.subject, question.stated, repr(question.pictures)]),
        "video_id": question.video_id,
        "character_id": question.character_id,
        "subject": question.subject,
        "question": question.kind,
        "stated": question.stated,
        "named": question.stated,
        "same_person": Agreement.YES if question.has_reference and question.kind is not QuestionKind.CAPTION else None,
        "flaws": (),
        "certainty": None if question.kind is QuestionKind.CAPTION else 5,
        "caption": f"What {question.subject} shows." if question.kind is QuestionKind.CAPTION else None,
        "problem": None,
        "message": None,
        "answer": "{}",
        "finish_reason": "stop",
        "model": "made",
        "prompt": str(question.kind),
        "prompt_version": "1",
        "prompt_hash": "0" * 16,
        "picture_hash": question.picture_hash(448 * 448, 90),
        "pictures": len(question.pictures),
        "request_id": "0" * 16,
        "attempts": 1,
        "repaired": False,
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "latency_seconds": 0.5,
        "answered_at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    if "problem" in said:
        columns |= {"named": None, "same_person": None, "certainty": None, "caption": None}
    return Verdict(**(columns | said))


def whimsical(seed: int) -> Callable[[Question], Verdict]:
    """A judge whose answer to a question is anything, and always the same."""

    def answer(question: Question) -> Verdict:
        dice = random.Random(content_hash([seed, question.subject, question.stated, question.has_reference]))
        others = [word for word in (Expression if question.kind is QuestionKind.EXPRESSION else Viewpoint).words() if word != question.stated]
        choices: list[dict[str, Any]] = [{}, {}, {"named": dice.choice(others)}, {"named": dice.choice(others)}, {"named": None}, {"certainty": 1}]
        choices += [{"same_person": Agreement.NO}, {"flaws": (dice.choice(list(Flaw)),)}, {"problem": dice.choice(list(PendingReason))}]
        return verdict(question, **(choices[0] if question.kind is QuestionKind.CAPTION else dice.choice(choices)))

    return answer


def refine(
    of: Case, answer: Callable[[Question], Verdict], policy: PolicyOptions = SURE, ranking: RankingOptions = RANKING, choose: random.Random | None = None
) -> tuple[Judgement, dict[Question, Verdict]]:
    """Judge and answer until nothing is open: all open questions at once, or with ``choose`` some of them, in any order."""
    known: dict[Question, Verdict] = {}
    while True:
        judgement = judge(of, known.get, policy, PictureOptions(), ranking)
        if not judgement.open:
            return judgement, known
        asked = judgement.open if choose is None else choose.sample(judgement.open, choose.randint(1, len(judgement.open)))
        assert not known.keys() & set(asked), "nothing is asked twice"
        known |= {question: answer(question) for question in asked}


def rows_by_name(table: pa.Table) -> dict[str, dict[str, Any]]:
    """Rows by their anchor_id or clip_id."""
    return {row[table.column_names[0]]: row for row in table.to_pylist()}
