from collections import Counter
from typing import Any

import numpy as np
import pytest

from pipeline.observations import Observations
from pipeline.select.anchors import GlobalOptions, choose_anchors
from pipeline.select.classes import Classes
from pipeline.select.quality import QualityOptions, score_quality
from pipeline.select.ranking import RankingOptions
from pipeline.select.reasons import Reasons
from schemas.tables import ANCHORS
from schemas.vocabulary import Expression, RejectReason, Viewpoint
from tests.pipeline.drawn_observations import VIDEO, DrawnVideo

NAME = f"{VIDEO}-c00"


def sure(count: int, view: Viewpoint = Viewpoint.FRONT, expression: Expression = Expression.NEUTRAL, yaw: float = 0.0, neutral: float = 0.9) -> Classes:
    """Every observation of the same class."""
    return Classes(
        view=np.full(count, view, np.int8),
        view_confidence=np.full(count, 0.8, np.float32),
        view_reasons=Reasons(count),
        yaw=np.full(count, yaw, np.float32),
        expression=np.full(count, expression, np.int8),
        leaning=np.full(count, -1, np.int8),
        expression_confidence=np.full(count, 0.7, np.float32),
        expression_reasons=Reasons(count),
        neutral=np.full(count, neutral, np.float32),
        open_eyes=np.ones(count, np.float32),
    )


def choose(video: DrawnVideo, classes: Classes, character: int = 0, **ranking: Any) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows of the anchors table by kind and number of the sampled frame."""
    seen = Observations.from_table(video.observations_table)
    owner = np.full(len(seen), character, np.int64)
    table = choose_anchors(seen, owner, [NAME], classes, QualityOptions(), GlobalOptions(), RankingOptions(**ranking))
    assert table.schema.equals(ANCHORS.schema, check_metadata=True)
    return {(row["kind"], row["pts_ns"] // 250_000_000): row for row in table.to_pylist()}


def one(classes: Classes | None = None, character: int = 0, **columns: Any) -> dict[str, dict[str, Any]]:
    """The three rows of one observation, by kind."""
    video = DrawnVideo()
    video.appear(video.shot(0, 0.25), 0, **columns)
    return {kind: row for (kind, _), row in choose(video, classes or sure(1), character).items()}


def reasons(rows: dict[str, dict[str, Any]]) -> tuple[str | None, ...]:
    return tuple(rows[kind]["reason"] for kind in ("global", "viewpoint", "expression"))


def test_a_good_observation_is_an_anchor_of_every_kind() -> None:
    rows = one()
    assert reasons(rows) == (None, None, None)
    assert [rows[kind]["subclass"] for kind in ("global", "viewpoint", "expression")] == [None, "front", "neutral"]
    assert {row["status"] for row in rows.values()} == {"accepted"}
    assert {row["rank"] for row in rows.values()} == {0}
    assert rows["viewpoint"]["anchor_id"] == f"{rows['viewpoint']['track_id']}-0-viewpoint"
    assert rows["viewpoint"]["score"] == pytest.approx(0.8 * rows["viewpoint"]["quality"])
    assert rows["expression"]["score"] == pytest.approx(0.7 * rows["expression"]["quality"])
    assert rows["global"]["confidence"] == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"sharpness": 0.0}, ("blurred",) * 3),
        ({"face": lambda _: False}, ("no_face", None, "no_face")),
        ({"face": lambda _: False, "sharpness": 0.0}, ("no_face", "blurred", "no_face")),
        ({"pitch": 60.0}, ("not_frontal", None, None)),
        ({"yaw": lambda _: 40.0}, ("not_frontal", None, None)),
    ],
)
def test_reasons_of_what_was_observed(columns: dict[str, Any], expected: tuple[str | None, ...]) -> None:
    classes = sure(1)
    if "face" in columns:
        classes.neutral[:] = np.nan
    assert reasons(one(classes, **columns)) == expected


def test_reasons_of_what_the_classifiers_say() -> None:
    assert reasons(one(sure(1, yaw=30.0))) == ("not_frontal", None, None)
    unsure = sure(1)
    unsure.view[:], unsure.view_confidence[:], unsure.expression[:], unsure.expression_confidence[:] = -1, np.nan, -1, np.nan
    unsure.view_reasons.set_rows(slice(None), [RejectReason.AMBIGUOUS_ANGLE])
    unsure.expression_reasons.set_rows(slice(None), [RejectReason.UNCERTAIN_EXPRESSION])
    rows = one(unsure)
    assert reasons(rows) == (None, "ambiguous_angle", "uncertain_expression")
    assert (rows["viewpoint"]["subclass"], rows["viewpoint"]["confidence"], rows["viewpoint"]["score"]) == (None, None, None)
    unsure.view_reasons.set_rows(slice(None), [RejectReason.NO_ANGLE])
    assert reasons(one(unsure, sharpness=0.0)) == ("blurred", "no_angle", "blurred"), "nothing to decide by comes before a bad picture"


def test_somebody_without_a_character_is_no_candidate_at_all() -> None:
    rows = one(character=-1, sharpness=0.0)
    assert reasons(rows) == ("no_character",) * 3
    assert {row["character_id"] for row in rows.values()} == {None}


def test_the_global_anchor_shows_the_scene() -> None:
    near, far = one(height=0.8)["global"], one(height=0.3)["global"]
    assert near["status"] == far["status"] == "accepted"
    assert near["score"] < far["score"] / 2


@pytest.mark.parametrize(
    ("neutral", "expected"),
    [
        ([0.05, 0.9, 0.2, 0.45], ["not_neutral", None, "not_neutral", "too_close_in_time"]),
        ([0.05, 0.2, 0.1, 0.1], ["too_close_in_time", None, "too_close_in_time", "too_close_in_time"]),
    ],
)
def test_the_global_anchor_is_neutral_or_the_best_there_is(neutral: list[float], expected: list[str | None]) -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 1), 0)
    classes = sure(4)
    classes.neutral[:] = neutral
    rows = choose(video, classes, global_anchors=1)
    assert [rows["global", frame]["reason"] for frame in range(4)] == expected


def test_a_blink_halves_the_score_of_views_and_scenes_but_not_of_expressions() -> None:
    blinking = sure(1)
    blinking.open_eyes[:] = 0
    ratio = {kind: row["score"] / one(sure(1))[kind]["score"] for kind, row in one(blinking).items()}
    assert ratio == pytest.approx({"global": 0.5, "viewpoint": 0.5, "expression": 1.0})


def test_the_best_few_of_each_bin_are_chosen_and_every_candidate_has_a_fate() -> None:
    video = DrawnVideo()
    first, second = video.shot(0, 10), video.shot(10, 20)
    generator = np.random.default_rng(0)
    for shot in (first, second):
        video.appear(shot, 0, sharpness=lambda _: float(generator.uniform(0, 0.6)))
    rows = choose(video, sure(80), viewpoint_anchors=3, global_anchors=1)
    assert len(rows) == 240
    quality = score_quality(Observations.from_table(video.observations_table), QualityOptions())
    for kind, number in (("global", 1), ("viewpoint", 3), ("expression", 4)):
        fates = Counter(row["reason"] for (own, _), row in rows.items() if own == kind)
        assert fates[None] == number
        assert fates.total() == 80
        assert set(fates) <= {None, "blurred", "too_close_in_time", "outranked"}
    best = next(frame for (kind, frame), row in rows.items() if kind == "viewpoint" and row["rank"] == 0)
    assert quality[best] == quality.max()
    shots = {row["shot_id"] for (kind, _), row in rows.items() if kind == "viewpoint" and row["status"] == "accepted"}
    assert shots == {first, second}


def test_bins_are_filled_apart() -> None:
    video = DrawnVideo()
    video.appear(video.shot(0, 10), 0)
    classes = sure(40)
    classes.view[20:] = Viewpoint.LEFT
    classes.expression[:10] = Expression.HAPPY
    rows = choose(video, classes, viewpoint_anchors=1, expression_anchors=2)
    chosen = Counter((row["kind"], row["subclass"]) for row in rows.values() if row["status"] == "accepted")
    assert chosen == {("global", None): 2, ("viewpoint", "front"): 1, ("viewpoint", "left"): 1, ("expression", "happy"): 2, ("expression", "neutral"): 2}


def test_nothing_seen() -> None:
    assert choose(DrawnVideo(), sure(0)) == {}
