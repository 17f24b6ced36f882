"""The simulated judge over HTTP: spoken to with the client that everybody uses, in the words that the pipeline sends."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from benchmarks.refinement.judge import Errors, SimulatedJudge, fingerprint
from benchmarks.refinement.server import JudgeServer, serving
from pipeline.refine.prompting import load_prompts, messages
from pipeline.refine.questions import Picture, Question
from schemas.answers import Answer, answer_schema, parse_answer
from schemas.vocabulary import Agreement, Expression, QuestionKind

FACE, REFERENCE = b"\xff\xd8 a face", b"\xff\xd8 the reference"
KIND = QuestionKind.EXPRESSION


@pytest.fixture(scope="module")
def server() -> Iterator[JudgeServer]:
    judge = SimulatedJudge({fingerprint(FACE): Expression.FEAR}, 0.0, Errors.SUGGESTIBLE, seed=3)
    with serving(judge) as found:
        yield found


def ask(server: JudgeServer, stated: Expression, has_reference: bool = False, model: str | None = None) -> Answer:
    picture = Picture(0, (0, 0, 8, 8))
    question = Question(KIND, "video", "character", "anchor", stated.word, (picture,) * (1 + has_reference), has_reference)
    request: dict[str, Any] = {
        "messages": messages(load_prompts()[KIND], question, "0123456789abcdef", [REFERENCE, FACE] if has_reference else [FACE]),
        "response_format": {"type": "json_schema", "json_schema": {"name": "expression", "schema": answer_schema(KIND, "0123456789abcdef", has_reference)}},
    }
    with openai.OpenAI(base_url=server.url, api_key="EMPTY", max_retries=0) as client:
        reply = client.chat.completions.create(model=model or client.models.list().data[0].id, **request)
    assert reply.choices[0].finish_reason == "stop"
    return parse_answer(reply.choices[0].message.content or "", KIND, "0123456789abcdef", has_reference)


@pytest.mark.parametrize("stated", [word for word in Expression if word is not Expression.FEAR])
def test_it_reads_which_class_is_stated_and_answers_by_the_schema(server: JudgeServer, stated: Expression) -> None:
    assert ask(server, stated) == Answer(stated.word, None, (), 4, None)


def test_with_a_reference_it_judges_the_last_picture(server: JudgeServer) -> None:
    assert ask(server, Expression.DISGUST, has_reference=True) == Answer("disgust", Agreement.YES, (), 4, None)


def test_the_model_is_named_after_the_judge_and_no_other_is_there(server: JudgeServer) -> None:
    assert server.judge.model == "simulated-suggestible-0.000-3"
    with pytest.raises(openai.NotFoundError, match="simulated-suggestible"):
        ask(server, Expression.SAD, model="another")


def test_requests_are_counted(server: JudgeServer) -> None:
    before = server.requests
    ask(server, Expression.SAD)
    assert server.requests == before + 1


def test_when_the_block_ends_nobody_listens() -> None:
    with serving(SimulatedJudge({}, 1.0, Errors.UNIFORM, 0)) as gone:
        pass
    with pytest.raises(openai.APIConnectionError), openai.OpenAI(base_url=gone.url, api_key="EMPTY", max_retries=0) as client:
        client.models.list()
