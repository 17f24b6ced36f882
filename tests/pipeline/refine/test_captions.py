import pyarrow as pa
import pytest

from pipeline.refine.captions import caption_question, judged_clips, selected_clips
from pipeline.refine.fates import Fate, with_fates
from pipeline.refine.questions import Picture
from schemas.tables import CLIPS
from schemas.vocabulary import PendingReason, QuestionKind, RejectReason, Status
from tests.pipeline.refine.made_character import SECOND, Seen, clips, rows_by_name, selected, verdict

REFERENCE = Picture(7 * SECOND, (1, 2, 3, 4))
WHOLE = (0, 0, 1000, 500)
REFUSED = Fate(Status.REJECTED, RejectReason.JUDGED_BLURRED, None, "happy", None, None)
PENDING = Fate(Status.PENDING, PendingReason.NOT_ASKED, 0, "happy", None, None)


def test_a_clip_is_shown_by_the_middles_of_equal_parts_behind_the_reference() -> None:
    (row,) = clips((10, 16)).to_pylist()
    question = caption_question(row, REFERENCE, 1000, 500, 3)
    assert question.pictures == (REFERENCE, *(Picture(second * SECOND, WHOLE) for second in (11, 13, 15)))
    assert (question.kind, question.subject, question.stated, question.has_reference) == (QuestionKind.CAPTION, "clip-10", None, True)


def test_without_a_reference_the_frames_alone() -> None:
    (row,) = clips((0, 5)).to_pylist()
    question = caption_question(row, None, 1000, 500, 1)
    assert question.pictures == (Picture(2_500_000_000, WHOLE),)
    assert not question.has_reference


def test_frames_lie_within_the_span_however_short_it_is() -> None:
    (row,) = clips((1, 1 + 3e-9)).to_pylist()
    assert [picture.pts_ns - SECOND for picture in caption_question(row, None, 1000, 500, 4).pictures] == [0, 1, 1, 2]


def test_anchors_are_counted_by_time_accepted_and_pending_ones_each_frame_once_per_kind() -> None:
    crowd = [Seen(0), Seen(10), Seen(20), Seen(20, kind="viewpoint", subclass="left"), Seen(15, kind="global", subclass=None), Seen(12, reason="blurred")]
    anchors = selected(crowd)
    rows = {name: row for row, name in enumerate(anchors["anchor_id"].to_pylist())}
    judged = with_fates(anchors, {rows["expression-10"]: PENDING, rows["expression-0"]: REFUSED})
    found = rows_by_name(judged_clips(clips((0, 5), (10, 20), (20, 20.000000001)), judged, {}))
    assert {name: (row["anchors_inside"], row["anchors_outside"]) for name, row in found.items()} == {"clip-0": (0, 4), "clip-10": (2, 2), "clip-20": (2, 2)}


def test_a_clip_whose_character_lost_all_anchors_is_rejected() -> None:
    anchors = selected([Seen(0), Seen(10)])
    of = pa.concat_tables([clips((0, 5)), clips((20, 21), reason="too_short")])
    lost = judged_clips(of, with_fates(anchors, {0: REFUSED, 1: REFUSED}), {})
    assert [(row["status"], row["reason"], row["anchors_outside"]) for row in lost.to_pylist()] == [
        ("rejected", "too_few_anchors", 0),
        ("rejected", "too_short", 0),
    ]
    assert lost.schema.equals(CLIPS.schema, check_metadata=True)
    for fate in (PENDING, None):
        kept = judged_clips(lost, with_fates(anchors, {0: REFUSED} | ({1: fate} if fate else {})), {})
        assert [(row["status"], row["reason"]) for row in kept.to_pylist()] == [("accepted", None), ("rejected", "too_short")]


def test_a_clip_whose_character_never_had_an_anchor_stays_what_it_was() -> None:
    assert judged_clips(clips((0, 5)), selected([Seen(0, reason="blurred")]), {})["status"].to_pylist() == ["accepted"]


@pytest.mark.parametrize(("problem", "caption"), [(None, "What clip-0 shows."), (PendingReason.CUT_SHORT, None)])
def test_the_caption_and_its_verdict(problem: PendingReason | None, caption: str | None) -> None:
    of, anchors = clips((0, 5), (5, 10)), selected([Seen(0)])
    question = caption_question(of.to_pylist()[0], None, 1000, 500, 1)
    answer = verdict(question, problem=problem) if problem else verdict(question)
    told = judged_clips(of, anchors, {0: answer})
    assert [(row["caption"], row["verdict_id"]) for row in told.to_pylist()] == [(caption, answer.verdict_id), (None, None)]
    assert judged_clips(told, anchors, {})["caption"].to_pylist() == [None, None]


def test_only_clips_that_select_accepted_are_selected() -> None:
    of = pa.concat_tables([clips((0, 5)), clips((6, 7), reason="too_short"), clips((10, 15))])
    assert selected_clips(of).tolist() == [0, 2]
    assert selected_clips(clips()).tolist() == []
    assert len(judged_clips(clips(), selected([]), {})) == 0
