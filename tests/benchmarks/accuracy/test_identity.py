"""The identity benchmark on a labelled set made of sample frames: two people and a picture of nobody."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.accuracy import identity
from tests.sample_frames import frame

PICTURES = {"first": ("single_face", (0.0, 1.0, 2.0)), "second": ("cry_to_laugh", (0.0, 9.0, 18.0)), "nobody": ("no_face", (0.0,))}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "labelled" / identity.SET
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file", "person"])
        for person, (asset, seconds) in PICTURES.items():
            for second in seconds:
                cv2.imwrite(str(folder / "images" / f"{person}{second}.png"), np.ascontiguousarray(frame(asset, second)[:, :, ::-1]))
                table.writerow([f"{person}{second}.png", person])
    return tmp_path


def test_two_people_are_two_clusters(data: Path) -> None:
    auc, clustering = identity.measure(data)
    assert (auc.n, auc.value, auc.met) == (15, 1.0, True)
    assert (clustering.n, clustering.value, clustering.met) == (6, 1.0, True)
    assert clustering.per_class == {"first": 1.0, "second": 1.0}
    assert dict(auc.skipped) == {"no face found": 1}
    assert auc.coverage == pytest.approx(6 / 7)
    assert "2 clusters for 2 people" in clustering.note


def test_wrong_labels_are_noticed(data: Path) -> None:
    labels = data / "labelled" / identity.SET / "labels.csv"
    labels.write_text(labels.read_text().replace("second18.0.png,second", "second18.0.png,first"))
    auc, clustering = identity.measure(data)
    assert auc.value < 0.9
    # together: 3 + 3 pairs; they belong: 6 + 1; both: 3 + 1
    assert clustering.value == pytest.approx(2 * 4 / (6 + 7))


def test_a_missing_picture_is_named(data: Path) -> None:
    (data / "labelled" / identity.SET / "images" / "first1.0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"first1\.0\.png"):
        identity.measure(data)
