"""The viewpoint benchmark on a labelled set made of sample frames: one face from the front, one person from behind, a clip without a turn."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.accuracy import Row, viewpoint
from benchmarks.accuracy.viewpoint import CMU, COCO, TENNIS
from pipeline.assets import fetch
from schemas.vocabulary import Viewpoint
from tests.sample_frames import frame


def write_set(folder: Path, columns: list[str], rows: list[list[str]], pictures: dict[str, np.ndarray]) -> None:
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / "images" / name), np.ascontiguousarray(picture[:, :, ::-1]))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    face = frame("cry_to_laugh", 10.0)
    write_set(
        root / "labelled" / CMU,
        ["file", "person", "direction"],
        [["a.png", "a", "straight"], ["b.png", "a", "left"], ["c.png", "a", "up"], ["d.png", "a", "straight"]],
        {"a.png": face, "b.png": frame("cry_to_laugh", 11.0), "c.png": face, "d.png": frame("no_face", 0.0)},
    )
    back = frame("single_person_cam04", 1.25)
    height, width = face.shape[:2]
    write_set(
        root / "labelled" / COCO,
        ["file", "person_id", "x", "y", "w", "h", "orientation"],
        [["back.png", "1", *map(str, person_box(back)), "back"], ["face.png", "2", "0", "0", str(width), str(height), "front"]],
        {"back.png": back, "face.png": face},
    )
    (root / "videos").mkdir()
    (root / "videos" / f"{TENNIS}.mp4").symlink_to(fetch("single_face"))
    return root


def person_box(image: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width, height of the runner in the sample frame, by looking at it."""
    height, width = image.shape[:2]
    return round(0.25 * width), round(0.21 * height), round(0.43 * width), round(0.46 * height)


@pytest.fixture(scope="module")
def rows(data: Path) -> dict[tuple[str, str], Row]:
    return {(row.set, row.measure): row for row in viewpoint.measure(data)}


def test_a_wrong_label_costs_precision_and_a_face_not_found_costs_coverage(rows: dict[tuple[str, str], Row]) -> None:
    precision, coverage = rows[CMU, "precision of front, left, right"], rows[CMU, "coverage"]
    assert (precision.n, precision.value, precision.met) == (3, 0.5, False)
    assert dict(precision.per_class) == {"front": 0.5}
    assert dict(precision.skipped) == {"looks up": 1}
    assert coverage.value == pytest.approx(2 / 3)
    assert dict(coverage.per_class) == {"front": 0.5, "right": 1.0}


def test_the_back_is_found_and_the_front_not_called_back(rows: dict[tuple[str, str], Row]) -> None:
    assert (rows[COCO, "backs found"].n, rows[COCO, "backs found"].value) == (1, 1.0)
    assert (rows[COCO, "fronts not called back"].n, rows[COCO, "fronts not called back"].value) == (1, 1.0)
    assert rows[COCO, "precision of all views"].value == 1.0


def test_somebody_who_does_not_turn_misses_the_stages(rows: dict[tuple[str, str], Row]) -> None:
    right, order = rows[TENNIS, "stages of the turn read right"], rows[TENNIS, "stages of the turn in order"]
    assert right.value < 1
    assert (order.value, order.met) == (0.0, False)
    assert order.note.startswith("read front;")


def test_views_are_read_once_each_as_long_as_they_last() -> None:
    codes = np.array([Viewpoint.FRONT, Viewpoint.FRONT, Viewpoint.LEFT, Viewpoint.RIGHT, Viewpoint.BACK, Viewpoint.FRONT], np.int8)
    assert viewpoint._runs(codes) == ["front", "side", "back", "front"]


def test_a_stage_is_right_when_it_is_seen_and_nothing_else_is() -> None:
    frames, codes = np.arange(0, 100, 10), np.array([0] * 5 + [3] * 5, np.int8)
    assert viewpoint._matches(frames, codes, "front", 0, 30) == (True, True)
    assert viewpoint._matches(frames, codes, "front", 0, 60) == (False, True)
    assert viewpoint._matches(frames, np.full(10, -1, np.int8), "front", 0, 60) == (False, False)
