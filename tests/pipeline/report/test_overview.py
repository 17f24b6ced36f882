from typing import Any

from pipeline.report.overview import YAW_EDGES, Overview
from schemas.tables import ANCHORS, CHARACTERS, CLIPS, TRACKS
from schemas.vocabulary import AnchorKind
from tests.pipeline.report.drawn_tables import BEN, anchor, anchors, characters, clips, judged, pending, shots, tracks


def drawn() -> Overview:
    overview = Overview()
    overview.add(shots(), tracks(), characters(), anchors(), clips())
    return overview


def test_everything_is_counted() -> None:
    overview = drawn()
    assert (overview.videos, overview.seconds, overview.sampled, overview.tracks, overview.characters, overview.clips) == (1, 2.0, 8, 2, 2, 1)
    assert (overview.observations, overview.faces) == (6, 4)
    assert overview.anchors == {
        (AnchorKind.GLOBAL, None): 2,
        (AnchorKind.VIEWPOINT, "front"): 1,
        (AnchorKind.VIEWPOINT, "left"): 1,
        (AnchorKind.VIEWPOINT, "back"): 1,
        (AnchorKind.EXPRESSION, "neutral"): 1,
    }
    assert overview.characters_with[AnchorKind.GLOBAL, None] == 1, "both global anchors are Anna's"
    assert overview.dropped[AnchorKind.EXPRESSION] == {"blurred": 1, "outranked": 1, "no_face": 1, "no_character": 1}
    assert overview.dropped_tracks == {"too_few_faces": 1}
    assert overview.dropped_clips == {"too_short": 1}
    assert overview.expressions == {"happy": 1, "neutral": 2}, "who has no face or no character expresses nothing"


def test_the_funnel_adds_up() -> None:
    overview = drawn()
    for kind in AnchorKind:
        chosen = sum(number for (own, _), number in overview.anchors.items() if own == kind)
        assert chosen + sum(overview.dropped[kind].values()) == len(anchors()) / 3


def test_yaws_fall_into_their_bins() -> None:
    yaws = drawn().yaws
    places = {word: [int(YAW_EDGES[bin_]) for bin_ in counts.nonzero()[0]] for word, counts in yaws.items()}
    assert places == {"left": [-70], "front": [0], "back": [175], None: [0, 30]}


def refined(*rows: dict[str, Any]) -> Overview:
    overview = Overview()
    overview.add(shots(), tracks(), characters(), ANCHORS.from_rows(rows), CLIPS.empty())
    return overview


def test_pending_anchors_are_neither_accepted_nor_dropped() -> None:
    overview = refined(
        judged(0, "expression", "happy", "accept"),
        pending(1, "expression", "happy", "timed_out", rank=1),
        pending(2, "expression", "happy", rank=2),
        pending(2, "global", None),
        pending(3, "viewpoint", "left", character_id=BEN),
    )
    assert overview.anchors == {(AnchorKind.EXPRESSION, "happy"): 1}
    assert overview.pending == {(AnchorKind.EXPRESSION, "happy"): 2, (AnchorKind.GLOBAL, None): 1, (AnchorKind.VIEWPOINT, "left"): 1}
    assert overview.characters_with == {(AnchorKind.EXPRESSION, "happy"): 1}
    assert all(not reasons for reasons in overview.dropped.values())


def test_what_a_judge_decided_is_counted() -> None:
    overview = refined(
        judged(0, "expression", "happy", "accept"),
        judged(1, "expression", "happy", "accept", reason="outranked"),
        judged(2, "expression", "sad", "relabel", selected_subclass="neutral"),
        judged(3, "expression", "sad", "reject", reason="judged_speaking"),
        judged(4, "viewpoint", "left", "reject", reason="judged_speaking"),
        judged(5, "global", None, "reject", reason="judged_unclear"),
        anchor(6, "expression", "sad", "too_dark"),
        pending(7, "expression", "sad"),
    )
    assert overview.decisions == {"accept": 2, "relabel": 1, "reject": 3}
    assert overview.refused == {"judged_speaking": 2, "judged_unclear": 1}
    assert overview.dropped[AnchorKind.EXPRESSION] == {"outranked": 1, "judged_speaking": 1, "too_dark": 1}


def test_what_faces_express_and_where_people_look_is_the_classifiers_word() -> None:
    overview = refined(
        judged(0, "expression", "sad", "relabel", selected_subclass="neutral", selected_reason="outranked"),
        judged(1, "expression", "happy", "accept", selected_subclass=None, selected_reason="uncertain_expression", likeliest="happy"),
        judged(2, "viewpoint", "front", "relabel", selected_subclass="left", yaw=-60.0),
    )
    assert overview.expressions == {"neutral": 1, None: 1}
    assert {word: counts.sum() for word, counts in overview.yaws.items()} == {"left": 1}
    assert set(overview.anchors) == {(AnchorKind.EXPRESSION, "sad"), (AnchorKind.EXPRESSION, "happy"), (AnchorKind.VIEWPOINT, "front")}


def test_captions_are_counted_of_accepted_clips() -> None:
    (accepted, rejected), overview = clips().to_pylist(), Overview()
    rows = [accepted, accepted | {"clip_id": "c", "caption": "A woman reads."}, rejected | {"caption": "A man sits."}]
    overview.add(shots(), tracks(), characters(), anchors(), CLIPS.from_rows(rows))
    assert (overview.clips, overview.captioned) == (2, 1)


def test_videos_add_up() -> None:
    once, twice = drawn(), drawn()
    twice.add(shots(), tracks(), characters(), anchors(), clips())
    assert twice.videos == 2
    assert twice.anchors.total() == 2 * once.anchors.total()
    assert sum(counts.sum() for counts in twice.yaws.values()) == 2 * sum(counts.sum() for counts in once.yaws.values())


def test_a_video_without_people() -> None:
    overview = Overview()
    overview.add(shots(), TRACKS.empty(), CHARACTERS.empty(), ANCHORS.empty(), CLIPS.empty())
    assert (overview.videos, overview.characters, overview.anchors.total()) == (1, 0, 0)
