"""The judge: takes a question with its pictures, gives a verdict. Whatever a server does, the outcome is a verdict or JudgeGone."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.refine import questions
from pipeline.refine.backoff import Backoff
from pipeline.refine.endpoints import Endpoint, Endpoints, JudgeGone, Missing
from pipeline.refine.options import PictureOptions, ServerOptions
from pipeline.refine.prompting import Prompt, messages
from pipeline.refine.questions import Question, content_hash
from pipeline.refine.redaction import Redaction
from pipeline.refine.repair import REPAIRED, repair_messages
from pipeline.refine.replies import Reply
from pipeline.refine.sending import Sender
from pipeline.refine.serving import address, connect, http_client, served_model, what_is_missing
from pipeline.refine.verdicts import Verdict
from schemas.answers import Answer, AnswerError, answer_schema, parse_answer
from schemas.vocabulary import PendingReason, QuestionKind

__all__ = ["JudgeClient", "JudgeGone", "served_model"]

logger = logging.getLogger(__name__)

TOKENS, CAPTION_TOKENS = 256, 768
"""That an answer may take: about three times what it needs."""

LONGEST_ANSWER = 8000
"""Characters of an answer that are kept."""

LONGEST_WORD = 200
"""Characters of a server's word, such as a model's id, that are kept."""

SILENCE = Reply(model=None, content=None, refusal=None, finish_reason="", prompt_tokens=None, completion_tokens=None)
NO_ANSWER = Answer(named=None, same_person=None, flaws=(), certainty=None, caption=None)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one request of a question brought.

    Attributes:
        request_id: of the request.
        requests: how often it was sent.
        reply: None when there was none.
        seconds: until the reply.
        answer: read from the reply.
        problem: why there is no answer.
        message: the problem in words.
    """

    request_id: str
    requests: int = 0
    reply: Reply | None = None
    seconds: float | None = None
    answer: Answer = NO_ANSWER
    problem: PendingReason | None = None
    message: str | None = None


class JudgeClient:
    """Asks one model, which one server or several have. To be used in one event loop, by any number of tasks."""

    def __init__(
        self,
        model: str,
        prompts: Mapping[QuestionKind, Prompt],
        server: ServerOptions,
        pictures: PictureOptions,
        key: str,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Set up; nothing is sent yet.

        Args:
            model: id, see served_model.
            prompts: of every kind of question.
            server: where and how.
            pictures: how the pictures were made, for their hash.
            key: of the servers; NO_KEY where they want none.
            backoff: between tries, and between looks at a server that is away; its jitter is the only thing here that is drawn by lot.
            sleep: what waits between tries.

        Raises:
            JudgeGone: see http_client.
        """
        self._model = model
        self._prompts = prompts
        self._pictures = pictures
        self._redaction = Redaction(key, server.urls)
        self._places = asyncio.Semaphore(server.in_flight)
        self._http = http_client(server)
        backoff = Backoff() if backoff is None else backoff

        async def probe(endpoint: Endpoint) -> Missing | None:
            return await what_is_missing(endpoint.client, model, server, self._redaction)

        self._endpoints = Endpoints(
            [Endpoint(address(url), connect(url, key, self._http)) for url in server.urls],
            probe,
            tolerated=max(2 * server.in_flight, 2 * server.attempts),
            patience=60 * server.patience_minutes,
            backoff=replace(backoff, longest=min(backoff.longest, server.connect_seconds)),
        )
        self._sender = Sender(self._endpoints, self._redaction, server.attempts, server.timeout_seconds, backoff, sleep)

    def verdict_id(self, question: Question) -> str:
        """The id that the question's verdict has, or will have."""
        picture_hash = question.picture_hash(self._pictures.pixels, self._pictures.jpeg_quality)
        return questions.verdict_id(picture_hash, question, self._prompts[question.kind].hash, self._model)

    async def ask(self, question: Question, jpegs: Sequence[bytes]) -> Verdict:
        """Ask, and once more when the answer's form is of no use.

        Args:
            question: what.
            jpegs: its pictures, in their order.

        Returns:
            The judge's answer, or why there is none.

        Raises:
            JudgeGone: no server can be asked any more.
        """
        async with self._places:
            request_id = self.verdict_id(question)
            try:
                first = await self._hear(question, jpegs, request_id, None)
                if first.problem not in REPAIRED:
                    return self._verdict(question, first)
                second = await self._hear(question, jpegs, content_hash([request_id, "repair"]), first)
                return self._verdict(question, second, first)
            except JudgeGone:
                raise
            except Exception as error:  # an error of this program, which must not reach the other questions
                place = traceback.extract_tb(error.__traceback__)[-1]
                message = self._redaction.message(f"unexpected {type(error).__name__}: {error} (in {place.name}, {place.filename}:{place.lineno})")
                logger.error("%s: %s", question.subject, message)
                return self._verdict(question, Heard(request_id, problem=PendingReason.SERVER_ERROR, message=message))

    def unasked(self, question: Question, problem: PendingReason, message: str) -> Verdict:
        """The verdict on a question that could not be put."""
        return self._verdict(question, Heard(self.verdict_id(question), problem=problem, message=self._redaction.message(message)))

    async def close(self) -> None:
        """Close all connections."""
        await self._endpoints.close()
        await self._http.aclose()

    async def _hear(self, question: Question, jpegs: Sequence[bytes], request_id: str, before: Heard | None) -> Heard:
        """Send one request of a question and read what comes back."""
        sent = await self._sender.send(self._body(question, jpegs, request_id, before), request_id)
        if not isinstance(sent.outcome, Reply):
            return Heard(request_id, sent.requests, problem=sent.outcome.problem, message=sent.outcome.message)
        heard = Heard(request_id, sent.requests, sent.outcome, sent.seconds)
        try:
            return replace(heard, answer=_read(sent.outcome, question, request_id))
        except AnswerError as error:
            return replace(heard, problem=error.problem, message=self._redaction.message(str(error)))

    def _body(self, question: Question, jpegs: Sequence[bytes], request_id: str, before: Heard | None) -> dict[str, Any]:
        content = messages(self._prompts[question.kind], question, request_id, jpegs)
        tokens = CAPTION_TOKENS if question.kind is QuestionKind.CAPTION else TOKENS
        if before is not None and before.problem is not None:
            answer = before.reply.content if before.reply is not None else None
            content = repair_messages(content, request_id, before.problem, before.message or "", answer)
            tokens *= 2 if before.problem is PendingReason.CUT_SHORT else 1
        schema = answer_schema(question.kind, request_id, question.has_reference)
        return {
            "model": self._model,
            "messages": content,
            "temperature": 0,
            "max_tokens": tokens,
            "response_format": {"type": "json_schema", "json_schema": {"name": str(question.kind), "strict": True, "schema": schema}},
        }

    def _verdict(self, question: Question, heard: Heard, before: Heard | None = None) -> Verdict:
        """A row of what was heard; where the repetition brought no reply, the words of the first one are kept."""
        prompt = self._prompts[question.kind]
        spoken = heard if heard.reply is not None or before is None else before
        reply = spoken.reply or SILENCE
        picture_hash = question.picture_hash(self._pictures.pixels, self._pictures.jpeg_quality)
        return Verdict(
            verdict_id=questions.verdict_id(picture_hash, question, prompt.hash, self._model),
            video_id=question.video_id,
            character_id=question.character_id,
            subject=question.subject,
            question=question.kind,
            stated=question.stated,
            named=heard.answer.named,
            same_person=heard.answer.same_person,
            flaws=heard.answer.flaws,
            certainty=heard.answer.certainty,
            caption=self._word(heard.answer.caption, LONGEST_ANSWER),
            problem=heard.problem,
            message=heard.message,
            answer=self._word(reply.content, LONGEST_ANSWER),
            finish_reason=self._word(reply.finish_reason),
            model=self._word(reply.model) or self._model,
            prompt=prompt.name,
            prompt_version=prompt.version,
            prompt_hash=prompt.hash,
            picture_hash=picture_hash,
            pictures=len(question.pictures),
            request_id=spoken.request_id,
            attempts=heard.requests + (before.requests if before is not None else 0),
            repaired=before is not None,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            latency_seconds=spoken.seconds,
            answered_at=datetime.now(UTC),
        )

    def _word(self, text: str | None, longest: int = LONGEST_WORD) -> str | None:
        return self._redaction.answer(text, longest) if text else None


def _read(reply: Reply, question: Question, request_id: str) -> Answer:
    """The answer in a reply; raises AnswerError, also REFUSED and CUT_SHORT."""
    if reply.finish_reason == "length":
        raise AnswerError(PendingReason.CUT_SHORT, "it did not come to an end in time; be brief")
    if reply.refusal is not None or reply.finish_reason == "content_filter":
        raise AnswerError(PendingReason.REFUSED, f"the model will not answer: {reply.refusal or 'its content is filtered'}")
    if reply.finish_reason != "stop":
        raise AnswerError(PendingReason.WRONG_SCHEMA, f"it is no plain answer: finish_reason is {reply.finish_reason}")
    if reply.content is None:
        raise AnswerError(PendingReason.INVALID_JSON, "there are no words in it")
    return parse_answer(reply.content, question.kind, request_id, question.has_reference)
