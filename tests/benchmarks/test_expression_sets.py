"""A labelled set made of frames of a sample video, and of a picture without a face."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.expression_sets import read_faces
from schemas.vocabulary import Expression
from tests.sample_frames import frame


def test_faces_are_read_with_their_labels(tmp_path: Path) -> None:
    folder = tmp_path / "labelled" / "expression_web"
    (folder / "images").mkdir(parents=True)
    pictures = {"laugh.png": frame("cry_to_laugh", 18.0), "grey.png": np.full((120, 160, 3), 128, np.uint8)}
    for name, picture in pictures.items():
        cv2.imwrite(str(folder / "images" / name), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    (folder / "labels.csv").write_text("file,expression\nlaugh.png,happy\ngrey.png,contempt\n")
    faces = read_faces(tmp_path, "expression_web")
    assert faces.labels.tolist() == [Expression.HAPPY, Expression.CONTEMPT]
    assert faces.seen.tolist() == [True, False]
    assert faces.faceapi[0].argmax() == faces.fer[0].argmax() == Expression.HAPPY
    assert np.isfinite(faces.features[0]).all()
    assert np.isfinite(faces.angles[0]).all()
    assert faces.persons == ("", "")


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expression_jaffe"):
        read_faces(tmp_path, "expression_jaffe")
