import numpy as np
import pyarrow as pa
import pytest

from pipeline.observations import Observations
from schemas.tables import OBSERVATIONS
from tests.pipeline.drawn_observations import DrawnVideo


def drawn() -> pa.Table:
    video = DrawnVideo()
    first, second = video.shot(0, 2), video.shot(2, 4)
    video.appear(second, 1)
    video.appear(first, 0, face=lambda time: time > 1)
    return video.observations_table


def test_rows_are_sorted_by_track_and_time_and_values_are_the_tables() -> None:
    table = drawn()
    seen = Observations.from_table(table)
    rows = sorted(table.to_pylist(), key=lambda row: (row["track_id"], row["pts_ns"]))
    assert [seen.track_ids[track] for track in seen.track] == [row["track_id"] for row in rows]
    assert [seen.shot_ids[shot] for shot in seen.shot] == [row["shot_id"] for row in rows]
    assert seen.pts_ns.tolist() == [row["pts_ns"] for row in rows]
    for number, row in enumerate(rows):
        assert seen.has_face[number] == seen.has_embedding[number] == (row["face_box"] is not None)
        if row["embedding"] is not None:
            np.testing.assert_array_equal(seen.embedding[number], np.float32(row["embedding"]))
            np.testing.assert_array_equal(seen.face_box[number], np.float32(row["face_box"]))
        else:
            assert np.isnan(seen.yaw[number])
            assert np.isnan(seen.probabilities[number]).all()
    assert [seen.rows_of(track) for track in range(2)] == [slice(0, 8), slice(8, 16)]
    assert [seen.shot_ids[shot] for shot in seen.track_shot] == [rows[0]["shot_id"], rows[8]["shot_id"]]


def test_parts_of_several_segments_can_be_put_together() -> None:
    table = drawn()
    half = len(table) // 2
    parts = pa.concat_tables([OBSERVATIONS.from_rows(table.slice(half).to_pylist()), OBSERVATIONS.from_rows(table.slice(0, half).to_pylist())])
    np.testing.assert_array_equal(Observations.from_table(parts).embedding, Observations.from_table(table).embedding)


def test_a_video_without_people() -> None:
    seen = Observations.from_table(OBSERVATIONS.empty())
    assert len(seen) == 0
    assert seen.track_start.tolist() == [0]
    assert seen.has_embedding.tolist() == []


def test_two_observations_of_a_track_at_one_time_are_an_error() -> None:
    rows = drawn().to_pylist()
    with pytest.raises(ValueError, match="two observations at one time"):
        Observations.from_table(OBSERVATIONS.from_rows([*rows, rows[0]]))


def test_embeddings_of_different_models_are_an_error() -> None:
    rows = drawn().to_pylist()
    rows[0]["embedding"] = [1.0, 0.0]
    with pytest.raises(ValueError, match="differ in length"):
        Observations.from_table(OBSERVATIONS.from_rows(rows))
