"""Captions: what is asked about clips, and what becomes of their rows once the anchors are judged."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.refine.candidates import positions
from pipeline.refine.fates import with_column
from pipeline.refine.questions import Picture, Question
from pipeline.refine.verdicts import Verdict
from schemas.tables import CLIPS
from schemas.vocabulary import QuestionKind, RejectReason, Status


def caption_question(clip: Mapping[str, Any], reference: Picture | None, width: int, height: int, frames: int) -> Question:
    """What a clip shows: the character first, where it is known, then whole frames from the middles of equal parts of the span.

    Args:
        clip: a row of the clips table.
        reference: the character's global anchor.
        width: of the displayed frame, pixels.
        height: likewise.
        frames: how many.
    """
    span = clip["end_ns"] - clip["start_ns"]
    times = [clip["start_ns"] + span * (2 * number + 1) // (2 * frames) for number in range(frames)]
    shown = [Picture(time, (0, 0, width, height)) for time in times]
    return Question(
        kind=QuestionKind.CAPTION,
        video_id=clip["video_id"],
        character_id=clip["character_id"],
        subject=clip["clip_id"],
        stated=None,
        pictures=tuple(shown if reference is None else [reference, *shown]),
        has_reference=reference is not None,
    )


def selected_clips(clips: pa.Table) -> NDArray[np.int64]:
    """The rows of the clips that select accepted."""
    return np.flatnonzero(positions(clips["selected_status"], [Status.ACCEPTED]) == 0)


def judged_clips(clips: pa.Table, anchors: pa.Table, captions: Mapping[int, Verdict]) -> pa.Table:
    """Rows of the clips table as the judged anchors leave them, with their captions.

    A clip is rejected when all the anchors that its character had were refused. One whose verdict is a problem has no caption, but
    names the verdict.

    Args:
        clips: all of one character, judged before or not.
        anchors: of the same character, judged; those accepted and those pending count.
        captions: verdicts on clips, by row.
    """
    kept = positions(anchors["status"], [Status.ACCEPTED, Status.PENDING]) >= 0
    had = positions(anchors["selected_status"], [Status.ACCEPTED]) == 0
    lost: list[int] = selected_clips(clips).tolist() if had.any() and not kept.any() else []
    clips = with_column(clips, "status", clips["selected_status"], dict.fromkeys(lost, Status.REJECTED))
    clips = with_column(clips, "reason", clips["selected_reason"], dict.fromkeys(lost, RejectReason.TOO_FEW_ANCHORS))
    nothing = pa.nulls(len(clips), pa.string())
    clips = with_column(clips, "caption", nothing, {row: verdict.caption for row, verdict in captions.items()})
    clips = with_column(clips, "verdict_id", nothing, {row: verdict.verdict_id for row, verdict in captions.items()})
    times = np.sort(anchors["pts_ns"].to_numpy()[kept])
    first, last = (np.searchsorted(times, clips[name].to_numpy()) for name in ("start_ns", "end_ns"))
    for name, numbers in (("anchors_inside", last - first), ("anchors_outside", len(times) - (last - first))):
        clips = with_column(clips, name, pa.array(numbers, CLIPS.columns.field(name).type), {})
    return clips
