from typing import Any

import pytest

from pipeline.pack import tasks as tasks_module
from pipeline.pack.options import PackOptions
from pipeline.pack.superset import draw_superset
from pipeline.pack.tasks import chunks, packable_rows, waiting_clips
from schemas.tables import ANCHORS as ANCHORS_TABLE
from schemas.tables import CLIPS as CLIPS_TABLE
from tests.pipeline.pack.rows import SECOND, anchor_row, clip_row, planned

CLIPS = [clip_row("b", 20 * SECOND), clip_row("a", 5 * SECOND), clip_row("c", 0, status="rejected"), clip_row("d", 5 * SECOND, character_id="other")]
ANCHORS = [anchor_row("x", 0), anchor_row("y", 30 * SECOND), anchor_row("z", 1, character_id="other"), anchor_row("n", 1, character_id=None, status="rejected")]


def test_accepted_clips_become_tasks_with_their_supersets() -> None:
    tasks = planned(CLIPS, ANCHORS, PackOptions())
    assert [task.key for task in tasks] == ["a", "d", "b"]
    assert [[anchor["anchor_id"] for anchor in task.anchors] for task in tasks] == [["x", "y"], ["z"], ["x", "y"]]
    assert [anchor["anchor_id"] for anchor in draw_superset(CLIPS[1], ANCHORS, PackOptions())] == ["x", "y"]


def test_candidates_that_were_not_accepted_are_never_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A two-hour film has hundreds of thousands of them, and a draw for each of its clips."""
    looked_at: list[int] = []

    def recorded(clip: Any, anchors: Any, options: PackOptions) -> Any:
        looked_at.append(len(anchors))
        return draw_superset(clip, anchors, options)

    monkeypatch.setattr(tasks_module, "draw_superset", recorded)
    candidates = [anchor_row(f"n{n}", n, status="rejected" if n % 2 else "pending") for n in range(500)]
    assert [len(task.anchors) for task in planned(CLIPS, [*ANCHORS, *candidates], PackOptions())] == [2, 1, 2]
    assert looked_at == [2, 1, 2]


def test_packable_rows_are_the_accepted_and_if_asked_for_the_pending_ones() -> None:
    table = ANCHORS_TABLE.from_rows([*ANCHORS, anchor_row("p", 2, status="pending", reason="not_asked")])
    assert packable_rows(table)["anchor_id"].to_pylist() == ["x", "y", "z"]
    assert packable_rows(table, include_pending=True)["anchor_id"].to_pylist() == ["p", "x", "y", "z"]
    assert packable_rows(table).schema == ANCHORS_TABLE.schema
    assert len(packable_rows(CLIPS_TABLE.empty(), include_pending=True)) == 0


def test_pending_anchors_are_drawn_as_accepted_ones_are_when_they_are_let_in() -> None:
    pending = [anchor | ({"status": "pending", "reason": "not_asked"} if anchor["anchor_id"] == "y" else {}) for anchor in ANCHORS]
    drawn = {
        flag: [[anchor["anchor_id"] for anchor in task.anchors] for task in planned(CLIPS, pending, PackOptions(include_pending=flag))]
        for flag in (True, False)
    }
    assert drawn == {True: [["x", "y"], ["z"], ["x", "y"]], False: [["x"], ["z"], ["x"]]}


@pytest.mark.parametrize("flag", [True, False])
@pytest.mark.parametrize("inside", [0, 1])
@pytest.mark.parametrize("own", ["accepted", "pending", "rejected", None])
def test_a_clip_waits_while_none_of_the_anchors_that_select_counted_may_be_packed(own: str | None, inside: int, flag: bool) -> None:
    clip = clip_row("a", 5 * SECOND, anchors_inside=inside)
    anchors = [anchor_row("others", 0, character_id="other")] + ([anchor_row("own", 0, status=own)] if own else [])
    waits = inside > 0 and own != "accepted" and not (own == "pending" and flag)
    tables = CLIPS_TABLE.from_rows([clip]), ANCHORS_TABLE.from_rows(anchors)
    assert waiting_clips(*tables, include_pending=flag) == ({"a"} if waits else set())
    assert [task.key for task in planned([clip], anchors, PackOptions(include_pending=flag))] == ([] if waits else ["a"])


def test_a_rejected_clip_waits_for_nobody_and_anchors_outside_count_too() -> None:
    clips = CLIPS_TABLE.from_rows([clip_row("a", 0, anchors_outside=1), clip_row("b", 9, anchors_outside=1, status="rejected", reason="too_short")])
    assert waiting_clips(clips, ANCHORS_TABLE.empty()) == {"a"}


def hash_of(clip: dict[str, Any], anchors: list[dict[str, Any]], options: PackOptions) -> str:
    (task,) = planned([clip], anchors, options)
    return task.sample_hash


@pytest.mark.parametrize(
    ("clip", "anchor", "options"),
    [
        ({"start_ns": 1}, {}, {}),
        ({"caption": "new"}, {}, {}),
        ({"caption": ""}, {}, {}),
        ({"video_id": "another"}, {}, {}),
        ({}, {"subclass": "back", "kind": "viewpoint"}, {}),
        ({}, {"face_box": [0.0, 0.0, 0.5, 0.5]}, {}),
        ({}, {"score": 0.6}, {}),
        ({}, {}, {"crf": 20}),
        ({}, {}, {"seed": 1}),
    ],
)
def test_the_hash_changes_with_everything_a_sample_is_made_from(clip: dict[str, Any], anchor: dict[str, Any], options: dict[str, Any]) -> None:
    before = hash_of(clip_row("a", 5 * SECOND), [anchor_row("x", 0)], PackOptions())
    assert hash_of(clip_row("a", 5 * SECOND) | clip, [anchor_row("x", 0) | anchor], PackOptions(**options)) != before


def test_the_hash_does_not_change_with_the_rest() -> None:
    before = hash_of(clip_row("a", 5 * SECOND), [anchor_row("x", 0)], PackOptions())
    clip, anchors = clip_row("a", 5 * SECOND, visible_share=0.5), [anchor_row("n", 3, status="rejected"), anchor_row("x", 0, yaw=3.0)]
    assert hash_of(clip, anchors, PackOptions(shard_bytes=5, threads=3)) == before


def test_a_pending_anchor_that_is_confirmed_makes_the_same_sample() -> None:
    clip = clip_row("a", 5 * SECOND, anchors_inside=1)
    pending = anchor_row("x", 0, status="pending", reason="not_asked")
    confirmed = pending | {"status": "accepted", "reason": None, "decision": "accept", "verdict_id": "0" * 16}
    let_in = PackOptions(include_pending=True)
    assert hash_of(clip, [pending], let_in) == hash_of(clip, [confirmed], let_in) == hash_of(clip, [confirmed], PackOptions())


def test_a_pending_anchor_that_is_refused_or_not_let_in_makes_another_sample() -> None:
    clip = clip_row("a", 5 * SECOND, anchors_inside=1)
    pending = [anchor_row("x", 0), anchor_row("y", 30 * SECOND, status="pending")]
    refused = [pending[0], pending[1] | {"status": "rejected", "reason": "judged_blurred"}]
    let_in = PackOptions(include_pending=True)
    assert hash_of(clip, pending, let_in) != hash_of(clip, refused, let_in) == hash_of(clip, pending, PackOptions())


def test_chunks_are_cut_by_time_and_lose_nothing() -> None:
    tasks = planned([clip_row(f"c{n:02d}", n * 4 * SECOND) for n in range(25)], [], PackOptions())
    cut = list(chunks(tasks, 10.0))
    assert [task for chunk in cut for task in chunk] == tasks
    assert [len(chunk) for chunk in cut] == [3] * 8 + [1]
    assert list(chunks([], 10.0)) == []
