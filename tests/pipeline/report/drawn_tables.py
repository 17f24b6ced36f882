"""Rows that select and refine could have written, small enough to count by hand."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from pipeline.refine.verdicts import Verdict
from schemas.tables import ANCHORS, CHARACTERS, CLIPS, SHOTS, TRACKS
from schemas.vocabulary import Agreement, PendingReason, QuestionKind

VIDEO = "0123456789abcdef"
ANNA, BEN = f"{VIDEO}-c00", f"{VIDEO}-c01"


def character(character_id: str, **columns: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"character_id": character_id, "video_id": VIDEO, "tracks": 1, "shots": 1, "observations": 8, "faces": 7, "seconds_visible": 2.0}
    row |= {"start_ns": 0, "end_ns": 1_750_000_000, "purity": 0.97, "cohesion": 0.8, "nearest_other": 0.12, "embedding": [1.0, 0.0]}
    return row | columns


def anchor(pts_ns: int, kind: str, subclass: str | None, reason: str | None = None, rank: int = 0, owner: str | None = ANNA, **columns: Any) -> dict[str, Any]:
    track = f"{VIDEO}-t-{owner or 'nobody'}"
    row: dict[str, Any] = {
        "anchor_id": f"{track}-{pts_ns}-{kind}",
        "video_id": VIDEO,
        "shot_id": VIDEO,
        "track_id": track,
        "character_id": owner,
        "pts_ns": pts_ns,
    }
    row |= {"kind": kind, "subclass": subclass, "status": "rejected" if reason else "accepted", "reason": reason, "rank": None if reason else rank}
    row |= {"score": 0.5, "confidence": 0.9, "quality": 0.6, "face_box": [0.4, 0.1, 0.6, 0.4], "yaw": 3.0}
    row |= columns
    return {f"selected_{name}": row[name] for name in ("subclass", "status", "reason", "rank")} | row


def pending(pts_ns: int, kind: str, subclass: str | None, reason: str = "not_asked", rank: int = 0, **columns: Any) -> dict[str, Any]:
    """An anchor of Anna's that waits for a judge."""
    return anchor(pts_ns, kind, subclass, rank=rank) | {"status": "pending", "reason": reason, "decision": "pending"} | columns


def judged(pts_ns: int, kind: str, subclass: str | None, decision: str, rank: int = 0, **columns: Any) -> dict[str, Any]:
    """An anchor of Anna's that a judge has accepted or relabelled, or a candidate that it has refused, by the reason in the columns."""
    return anchor(pts_ns, kind, subclass, columns.pop("reason", None), rank) | {"decision": decision, "verdict_id": f"{pts_ns}"} | columns


def verdict(number: int, question: str = "expression", stated: str | None = "happy", named: str | None = "happy", **changes: Any) -> Verdict:
    """What was answered to a question; equal numbers are the same question."""
    made = {
        "verdict_id": f"{number:016x}",
        "video_id": VIDEO,
        "character_id": ANNA,
        "subject": f"subject-{number}",
        "question": QuestionKind(question),
        "stated": stated,
        "named": named,
        "same_person": Agreement.YES,
        "flaws": (),
        "certainty": 4,
        "caption": None,
        "problem": None,
        "message": None,
        "answer": "{}",
        "finish_reason": "stop",
        "model": "judge_of/faces",
        "prompt": question,
        "prompt_version": "1",
        "prompt_hash": "0" * 16,
        "picture_hash": "1" * 16,
        "pictures": 2,
        "request_id": f"{number:016x}",
        "attempts": 1,
        "repaired": False,
        "prompt_tokens": 700,
        "completion_tokens": 60,
        "latency_seconds": 2.0,
        "answered_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return Verdict(**made | changes)


def problem(number: int, reason: PendingReason = PendingReason.TIMED_OUT, question: str = "expression", **changes: Any) -> Verdict:
    """A question that found no answer."""
    nothing: dict[str, Any] = {"named": None, "same_person": None, "certainty": None, "answer": None, "latency_seconds": None}
    nothing |= {"prompt_tokens": None, "completion_tokens": None}
    return verdict(number, question, problem=reason, **nothing | changes)


def verdicts() -> list[Verdict]:
    """What a judge said about Anna: two happy faces, one of them neutral, a sad one that is unclear, a view, a clip; and what it did not say."""
    return [
        verdict(1),
        verdict(2, named="neutral"),
        verdict(3, stated="sad", named=None),
        verdict(4, "viewpoint", "left", "left", latency_seconds=4.0),
        verdict(5, "caption", None, None, caption="A woman reads.", prompt_version="2"),
        problem(6),
        problem(7, PendingReason.INVALID_JSON, "global", stated="front", latency_seconds=1.0, prompt_tokens=500, completion_tokens=9),
    ]


def shots() -> pa.Table:
    row: dict[str, Any] = {"shot_id": VIDEO, "video_id": VIDEO, "segment": 0, "start_ns": 0, "end_ns": 2_000_000_000, "frame_count": 50, "sampled_count": 8}
    return SHOTS.from_rows([row | {"starts_at": "video", "ends_at": "video"}])


def tracks() -> pa.Table:
    row: dict[str, Any] = {"video_id": VIDEO, "shot_id": VIDEO, "start_ns": 0, "end_ns": 1, "observations": 3, "faces": 2}
    rows = [row | {"track_id": "a", "character_id": ANNA}, row | {"track_id": "b", "reason": "too_few_faces"}]
    return TRACKS.from_rows(rows)


def characters() -> pa.Table:
    return CHARACTERS.from_rows([character(BEN, seconds_visible=1.0, nearest_other=None), character(ANNA)])


def anchors(times: tuple[int, int, int] = (0, 440_000_000, 1_000_000_000)) -> pa.Table:
    """Three observations of Anna, one each of Ben and of somebody else, each a candidate of every kind."""
    first, second, third = times
    return ANCHORS.from_rows(
        [
            anchor(first, "global", None, "not_frontal"),
            anchor(second, "global", None, rank=1),
            anchor(third, "global", None),
            anchor(first, "viewpoint", "left", yaw=-70.0),
            anchor(second, "viewpoint", "front", yaw=4.0),
            anchor(third, "viewpoint", None, "ambiguous_angle", yaw=30.0),
            anchor(first, "expression", "happy", "blurred"),
            anchor(second, "expression", "neutral", "outranked"),
            anchor(third, "expression", "neutral"),
            anchor(first, "global", None, "no_face", owner=BEN, face_box=None, yaw=None),
            anchor(first, "viewpoint", "back", owner=BEN, face_box=None, body_box=[0.1, 0.1, 0.4, 1.0], yaw=178.0),
            anchor(first, "expression", None, "no_face", owner=BEN, face_box=None, yaw=None),
            anchor(first, "global", None, "no_character", owner=None),
            anchor(first, "viewpoint", None, "no_character", owner=None),
            anchor(first, "expression", None, "no_character", owner=None),
        ]
    )


def clips() -> pa.Table:
    row: dict[str, Any] = {
        "video_id": VIDEO,
        "shot_id": VIDEO,
        "track_id": "a",
        "character_id": ANNA,
        "start_ns": 0,
        "end_ns": 1,
        "frame_count": 81,
        "frame_rate": 16.0,
    }
    row |= {"selected_status": "accepted", "visible_share": 1.0, "face_share": 1.0, "others": 0, "anchors_inside": 1, "anchors_outside": 1}
    return CLIPS.from_rows([row | {"clip_id": "a", "status": "accepted"}, row | {"clip_id": "b", "status": "rejected", "reason": "too_short"}])
