from pipeline.report.overview import YAW_EDGES, Overview
from schemas.tables import ANCHORS, CHARACTERS, CLIPS, TRACKS
from schemas.vocabulary import AnchorKind
from tests.pipeline.report.drawn_tables import anchors, characters, clips, shots, tracks


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
