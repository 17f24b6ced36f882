import pytest

from pipeline.report.verdicts import VerdictSums
from schemas.vocabulary import PendingReason, QuestionKind
from tests.pipeline.report.drawn_tables import verdict, verdicts


def test_everything_is_counted() -> None:
    sums = VerdictSums()
    sums.add(verdicts())
    assert sums.questions == {QuestionKind.EXPRESSION: 4, QuestionKind.VIEWPOINT: 1, QuestionKind.GLOBAL: 1, QuestionKind.CAPTION: 1}
    assert sums.answered == 5
    assert sums.problems == {PendingReason.TIMED_OUT: 1, PendingReason.INVALID_JSON: 1}
    assert sums.named == {
        (QuestionKind.EXPRESSION, "happy", "happy"): 1,
        (QuestionKind.EXPRESSION, "happy", "neutral"): 1,
        (QuestionKind.EXPRESSION, "sad", None): 1,
        (QuestionKind.VIEWPOINT, "left", "left"): 1,
        (QuestionKind.CAPTION, None, None): 1,
    }
    assert sums.models == {"judge_of/faces": 7}
    assert sums.prompts == {("expression", "1"): 4, ("viewpoint", "1"): 1, ("global", "1"): 1, ("caption", "2"): 1}
    assert (sums.prompt_tokens, sums.completion_tokens) == (5 * 700 + 500, 5 * 60 + 9)
    assert sums.mean_latency == pytest.approx((4 * 2.0 + 4.0 + 1.0) / 6), "a question that found no reply took no known time"


def test_videos_and_models_add_up() -> None:
    sums = VerdictSums()
    for model in ("one", "two"):
        sums.add([verdict(1, model=model)])
    assert (sums.questions.total(), sums.models) == (2, {"one": 1, "two": 1})


def test_nothing_asked() -> None:
    sums = VerdictSums()
    sums.add([])
    assert (sums.questions.total(), sums.answered, sums.mean_latency) == (0, 0, None)
