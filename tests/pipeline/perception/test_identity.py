"""SFace against OpenCV's own implementation, alignment against a general least-squares solver."""

from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.assets import fetch
from pipeline.perception.faces import YuNet
from pipeline.perception.identity import SIZE, TEMPLATE, SFace, align, similarity
from pipeline.perception.protocols import Face
from tests.sample_frames import frame

PEOPLE = {"single_face": (0.0, 1.0, 2.0), "cry_to_laugh": (0.0, 9.0, 18.0)}


@pytest.fixture(scope="module")
def embedder() -> SFace:
    return SFace(fetch("sface"))


@pytest.fixture(scope="module")
def faces() -> dict[tuple[str, float], Face]:
    detector = YuNet(fetch("yunet"))
    return {(asset, second): detector.detect(frame(asset, second))[0] for asset, seconds in PEOPLE.items() for second in seconds}


numbers = st.floats(-100, 100)


@given(st.floats(-np.pi, np.pi), st.floats(0.05, 20), numbers, numbers)
def test_similarity_finds_a_known_turn_scale_and_shift(angle: float, scale: float, x: float, y: float) -> None:
    known = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    moved = TEMPLATE @ known.T + [x, y]
    np.testing.assert_allclose(similarity(TEMPLATE, moved.astype(np.float32)), np.column_stack([known, [x, y]]), atol=2e-3)


def test_similarity_is_the_least_squares_solution() -> None:
    random = np.random.default_rng(0)
    source = random.normal(50, 20, (5, 2)).astype(np.float32)
    # unknowns a, b, x, y of (a -b x; b a y), two equations a point
    rows = [row for x, y in source.astype(float) for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    a, b, x, y = np.linalg.lstsq(np.array(rows), TEMPLATE.astype(float).reshape(-1), rcond=None)[0]
    np.testing.assert_allclose(similarity(source, TEMPLATE), [[a, -b, x], [b, a, y]], atol=1e-6)


def test_points_that_coincide_do_not_break_it() -> None:
    assert np.isfinite(similarity(np.full((5, 2), 7, np.float32), TEMPLATE)).all()


def test_same_embedding_as_opencvs_implementation(embedder: SFace, faces: dict[tuple[str, float], Face]) -> None:
    reference = cv2.FaceRecognizerSF.create(str(fetch("sface")), "")
    for (asset, second), face in faces.items():
        image = frame(asset, second)
        row = np.concatenate([face.box[:2], face.box[2:] - face.box[:2], face.points.reshape(-1), [face.score]]).astype(np.float32)
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        aligned = reference.alignCrop(bgr, row[None])
        assert np.abs(align(image, face.points)[:, :, ::-1].astype(int) - aligned).mean() < 2
        theirs = np.asarray(reference.feature(aligned), np.float32).reshape(-1)
        assert float(embedder.embed(image, face) @ theirs) / float(np.linalg.norm(theirs)) > 0.99


def test_the_same_person_is_above_the_threshold_and_others_below(embedder: SFace, faces: dict[tuple[str, float], Face]) -> None:
    embeddings: dict[tuple[str, float], NDArray[np.float32]] = {key: embedder.embed(frame(*key), face) for key, face in faces.items()}
    for vector in embeddings.values():
        assert vector.shape == (128,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    for one, other in combinations(embeddings, 2):
        alike = float(embeddings[one] @ embeddings[other])
        assert (alike >= embedder.same_person_cosine) == (one[0] == other[0]), f"{one} and {other}: {alike:.3f}"


def test_a_face_at_the_edge_is_filled_with_black(faces: dict[tuple[str, float], Face]) -> None:
    image = frame("single_face", 0.0)
    outside = faces["single_face", 0.0].points + np.float32(5000)
    assert align(image, outside).shape == (SIZE, SIZE, 3)
    assert not align(image, outside).any()


def test_a_closed_embedder_says_so(faces: dict[tuple[str, float], Face]) -> None:
    embedder = SFace(fetch("sface"))
    assert embedder.name.startswith("sface (")
    embedder.close()
    embedder.close()
    with pytest.raises(ValueError, match="closed"):
        embedder.embed(frame("single_face", 0.0), faces["single_face", 0.0])
