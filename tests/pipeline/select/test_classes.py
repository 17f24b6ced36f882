import numpy as np
import pytest

from pipeline.observations import Observations
from pipeline.select import classes as classes_module
from pipeline.select.classes import classify
from pipeline.select.expressions import ExpressionOptions
from pipeline.select.views import ViewOptions, Views
from schemas.vocabulary import RejectReason, Viewpoint
from tests.pipeline.drawn_observations import DrawnVideo

OPTIONS = (ViewOptions(), ExpressionOptions())


def drawn() -> Observations:
    video = DrawnVideo()
    first, second = video.shot(0, 5), video.shot(5, 10)
    video.appear(first, 0)
    video.appear(second, 0, yaw=lambda _: -85.0)
    video.appear(second, 1, face=lambda _: False, body_yaw=178.0)
    return Observations.from_table(video.observations_table)


def test_each_track_has_its_own_views() -> None:
    seen = drawn()
    found = classify(seen, np.zeros(len(seen), np.int64), *OPTIONS)
    majority = [np.bincount(found.view[seen.rows_of(track)] + 1, minlength=5).argmax() - 1 for track in range(3)]
    assert majority == [Viewpoint.FRONT, Viewpoint.LEFT, Viewpoint.BACK]
    assert ((found.view < 0) != found.view_reasons.free).all()


def test_expressions_are_asked_for_characters_with_faces_alone() -> None:
    seen = drawn()
    character = np.where(seen.track == 1, -1, 0)
    found = classify(seen, character, *OPTIONS)
    asked = seen.track == 0
    assert found.expression_reasons.only(RejectReason.NO_EXPRESSION)[~asked].all()
    assert np.isnan(found.neutral[~asked]).all()
    assert (found.neutral[asked] > 0.4).all()


def test_a_classifier_that_gives_neither_class_nor_reason_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(pts_ns: np.ndarray, *rest: object) -> Views:
        del rest
        count = len(pts_ns)
        return Views(np.full(count, -1, np.int8), np.zeros(count, np.float32), np.zeros(count, np.float32), [None] * count)

    monkeypatch.setattr(classes_module, "classify_views", broken)
    with pytest.raises(ValueError, match="a class or a reason"):
        classify(drawn(), np.zeros(60, np.int64), *OPTIONS)
