"""Decisions on faces whose probabilities and movements are put there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from pipeline.perception.expression_calibration import FACEAPI, FEATURE_COUNT, FER, MESH, MESH_NAMES, geometric_mean
from pipeline.select.expressions import ExpressionOptions, Expressions, LeastConfidence, classify_expressions
from schemas.vocabulary import Expression, RejectReason

SURE = ExpressionOptions()
Features = NDArray[np.float32]


def faces(*classes: Expression, share: float = 0.94, **coefficients: float) -> Features:
    """Faces that both networks agree on; the mesh shows these coefficients and nothing else."""
    values = np.zeros((len(classes), FEATURE_COUNT), np.float32)
    for row, expression in enumerate(classes):
        shares = np.full(7, (1 - share) / 6)
        shares[expression] = share
        values[row, FER] = values[row, FACEAPI] = np.log(shares)
    for name, value in coefficients.items():
        for side in ("", "Left", "Right"):
            if name + side in MESH_NAMES:
                values[:, MESH.start + MESH_NAMES.index(name + side)] = value
    return values


def decide(features: Features, yaw: ArrayLike = 0.0, pitch: ArrayLike = 0.0, options: ExpressionOptions = SURE) -> Expressions:
    yaw, pitch = (np.broadcast_to(np.asarray(angle, np.float32), len(features)) for angle in (yaw, pitch))
    return classify_expressions(features, geometric_mean().probabilities(features), yaw, pitch, options, geometric_mean())


def test_a_laugh_is_happy_and_lips_that_speak_are_not() -> None:
    assert decide(faces(Expression.HAPPY, mouthSmile=0.8)).codes.tolist() == [Expression.HAPPY]
    speaks = decide(faces(Expression.HAPPY, mouthSmile=0.1, jawOpen=0.2))
    assert speaks.codes.tolist() == [-1]
    assert speaks.reasons == [RejectReason.UNCERTAIN_EXPRESSION]


def test_surprise_needs_an_open_mouth_and_neutral_a_closed_one() -> None:
    both = (Expression.SURPRISE, Expression.NEUTRAL)
    assert decide(faces(*both, jawOpen=0.5)).codes.tolist() == [Expression.SURPRISE, -1]
    assert decide(faces(*both, jawOpen=0.05)).codes.tolist() == [-1, Expression.NEUTRAL]


def test_without_a_mesh_nothing_speaks_against_the_networks() -> None:
    values = faces(Expression.HAPPY, Expression.SURPRISE, Expression.NEUTRAL)
    values[:, MESH] = np.nan
    assert decide(values).codes.tolist() == [Expression.HAPPY, Expression.SURPRISE, Expression.NEUTRAL]


def test_a_face_turned_away_is_not_read() -> None:
    values = faces(*[Expression.SAD] * 5)
    found = decide(values, [0, 45, -45, 0, np.nan], [0, 0, 0, 40, 0])
    assert found.codes.tolist() == [Expression.SAD, -1, -1, -1, -1]
    assert found.reasons == [None, *[RejectReason.NOT_FRONTAL] * 3, RejectReason.NO_ANGLE]


def test_no_face_no_expression() -> None:
    values = faces(Expression.SAD, Expression.SAD)
    values[0] = np.nan
    found = decide(values, [np.nan, 0.0])
    assert found.reasons == [RejectReason.NO_EXPRESSION, None]
    assert np.isnan(found.confidence[0])
    assert np.isnan(found.probabilities[0]).all()


@pytest.mark.parametrize("expression", [Expression.SAD, Expression.ANGRY, Expression.FEAR, Expression.DISGUST])
def test_each_class_has_its_own_threshold(expression: Expression) -> None:
    least = getattr(LeastConfidence(), expression.word)
    assert decide(faces(expression, share=least + 0.02)).codes.tolist() == [expression]
    assert decide(faces(expression, share=least - 0.02)).reasons == [RejectReason.UNCERTAIN_EXPRESSION]


@given(st.integers(0, 1000))
def test_a_class_or_a_reason_and_never_both(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.log(random.dirichlet(np.full(7, 0.2), (20, 2)) + 1e-3).reshape(20, 14).astype(np.float32)
    values = np.hstack([values, random.uniform(0, 1, (20, 52)).astype(np.float32)])
    values[random.random(20) < 0.2] = np.nan
    found = decide(values, random.uniform(-60, 60, 20))
    assert [code < 0 for code in found.codes] == [reason is not None for reason in found.reasons]
    said = found.codes >= 0
    np.testing.assert_array_equal(found.codes[said], found.probabilities[said].argmax(axis=1))


def test_a_characters_own_neutral_face_counts() -> None:
    """Somebody whose face at rest looks half angry to both networks."""
    shares = np.full(7, 0.02)
    shares[Expression.NEUTRAL], shares[Expression.ANGRY] = 0.44, 0.46
    stern = faces(*[Expression.NEUTRAL] * 20)
    stern[:, FER] = stern[:, FACEAPI] = np.log(shares)
    angles, options = np.zeros(20, np.float32), ExpressionOptions(neutral_probability=0.3)
    alone = classify_expressions(stern, geometric_mean().probabilities(stern), angles, angles, ExpressionOptions(own_neutral=False)).probabilities
    together = classify_expressions(stern, alone, angles, angles, options).probabilities
    assert (alone.argmax(axis=1) == Expression.ANGRY).all()
    assert (together.argmax(axis=1) == Expression.NEUTRAL).all()
    few = classify_expressions(stern[:5], alone[:5], angles[:5], angles[:5], options).probabilities
    np.testing.assert_array_equal(few, alone[:5])


def test_who_cries_all_the_time_has_no_neutral_face() -> None:
    crying = faces(*[Expression.SAD] * 30, share=0.85)
    assert (decide(crying).codes == Expression.SAD).all()


def test_another_backends_probabilities_are_taken_as_they_are() -> None:
    probabilities = np.zeros((2, 8), np.float32)
    probabilities[0, Expression.DISGUST] = 0.9
    probabilities[0, Expression.SAD] = 0.1
    probabilities[1] = 1 / 8
    found = classify_expressions(np.zeros((2, 7), np.float32), probabilities, np.zeros(2, np.float32), np.zeros(2, np.float32))
    assert found.codes.tolist() == [Expression.DISGUST, -1]
    np.testing.assert_array_equal(found.probabilities, probabilities)


def test_none_at_all() -> None:
    empty = np.zeros((0, FEATURE_COUNT), np.float32)
    found = classify_expressions(empty, np.zeros((0, 8), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32))
    assert (len(found.codes), found.reasons) == (0, [])
