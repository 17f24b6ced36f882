from typing import Any

from pipeline.select.counts import count_selection
from schemas.tables import ANCHORS, CLIPS, TRACKS
from tests.pipeline.pack.rows import anchor_row, clip_row


def test_each_row_is_counted_once_under_what_became_of_it() -> None:
    anchors = [
        anchor_row("a", 0),
        anchor_row("b", 1, "expression", "happy"),
        anchor_row("c", 2, "expression", "happy"),
        anchor_row("d", 3, "expression", "sad", status="pending", reason="not_asked"),
        anchor_row("e", 4, "expression", "sad", status="rejected", reason="judged_unclear", rank=None),
    ]
    clips = [clip_row("a", 0), clip_row("b", 1, status="rejected", reason="too_short")]
    track: dict[str, Any] = {"video_id": "v", "shot_id": "s", "start_ns": 0, "end_ns": 1, "observations": 3, "faces": 2}
    tracks = [track | {"track_id": "a", "character_id": "c"}, track | {"track_id": "b", "reason": "too_few_faces"}]
    counts = count_selection(TRACKS.from_rows(tracks), 1, ANCHORS.from_rows(anchors), CLIPS.from_rows(clips))
    assert counts == {
        "tracks": 2,
        "characters": 1,
        "candidates": 5,
        "anchors": 3,
        "pending": 1,
        "clips": 1,
        "anchors/global": 1,
        "anchors/expression/happy": 2,
        "pending/expression/sad": 1,
        "dropped/expression/judged_unclear": 1,
        "dropped/clip/too_short": 1,
        "dropped/track/too_few_faces": 1,
    }
