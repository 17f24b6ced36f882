"""Asking the judge about one character until nothing is open: pictures are made in one thread, verdicts are kept in others, while
questions are under way.

Pictures are made some questions ahead of those that are being answered, in order of time, so that the judge has work, the file is read
forwards, and memory holds the pictures of two batches however many questions there are.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from pipeline.failures import InputError
from pipeline.refine.endpoints import JudgeGone
from pipeline.refine.judging import Case, judge
from pipeline.refine.options import RefineOptions
from pipeline.refine.questions import Picture, Question
from pipeline.refine.verdicts import Verdict
from pipeline.select.ranking import RankingOptions
from schemas.vocabulary import PendingReason

BATCH = 64
"""Questions whose pictures are made in one pass; where more requests may be under way at the same time, as many as those."""

WRITERS = 4
"""Verdicts that are being written at the same time: where storage is far away, a write takes as long as an answer."""

COUNTS = ("questions", "answers", "requests", "prompt tokens", "completion tokens")

Jpeg = bytes | InputError


class Client(Protocol):
    """Who puts questions; see JudgeClient."""

    def verdict_id(self, question: Question) -> str:
        """By which the verdict on a question is known."""

    async def ask(self, question: Question, jpegs: Sequence[bytes]) -> Verdict:
        """The verdict on a question, an answer or a problem; raises JudgeGone when there is nobody any more who could answer."""

    def unasked(self, question: Question, problem: PendingReason, message: str) -> Verdict:
        """The verdict on a question that could not be put."""


class Pictures(Protocol):
    """Who makes pictures; see FramePictures."""

    def jpegs(self, pictures: Collection[Picture]) -> dict[Picture, Jpeg]:
        """Each picture, or why it cannot be had."""


@dataclass(frozen=True)
class Asked:
    """What asking about a character came to.

    Attributes:
        counts: ``questions`` that were open, usable ``answers`` to them, ``requests`` sent, ``prompt tokens`` and ``completion tokens``.
        unreadable: why a picture could not be made, the first such; None when all could.
        gone: why the judge was given up, and what to do about it; None when it answered to the end.
    """

    counts: dict[str, int]
    unreadable: InputError | None
    gone: str | None = None


async def ask_character(
    case: Case,
    pictures: Pictures,
    client: Client,
    known: Mapping[str, Verdict],
    options: RefineOptions,
    ranking: RankingOptions,
    keep: Callable[[Verdict], object],
) -> Asked:
    """Ask what is open about a character, and what follows from the answers, until nothing is open.

    A question that was asked in vain in this run (the server did not answer, a picture cannot be read) is not repeated in it. Problems
    that were known before and may have gone since are.

    Args:
        case: the character.
        pictures: of its video.
        client: of the judge.
        known: verdicts by their ids; left as they are.
        options: policy and pictures, as the verdicts will be judged by.
        ranking: with which select ranked.
        keep: called with every verdict the moment it is there, in threads of its own, several at the same time.

    Returns:
        What it came to, also when there is nobody any more who could answer: what came before was kept.

    Raises:
        Exception: what ``keep`` raised.
    """
    heard = {name: verdict for name, verdict in known.items() if verdict.is_final}
    asking = _Asking(pictures, client, keep, max(BATCH, options.server.in_flight))

    def open_questions() -> list[Question]:
        return judge(case, lambda question: heard.get(client.verdict_id(question)), options.policy, options.pictures, ranking).open

    gone: str | None = None
    try:
        while questions := await asyncio.get_running_loop().run_in_executor(asking.reader, open_questions):
            heard |= await asking.ask(questions)
    except JudgeGone as error:
        gone = str(error)
    finally:
        asking.close()
    return Asked(dict(asking.counts), asking.unreadable, gone)


class _Asking:
    """Questions about one character on their way.

    Attributes:
        counts: see Asked.
        unreadable: see Asked.
        reader: the thread for what takes long. The loop's own threads also look up hosts, which must not wait for a decoder.
    """

    def __init__(self, pictures: Pictures, client: Client, keep: Callable[[Verdict], object], batch: int) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self.unreadable: InputError | None = None
        self.reader = ThreadPoolExecutor(1, "pictures")
        self._writers = ThreadPoolExecutor(WRITERS, "verdicts")
        self._pictures = pictures
        self._client = client
        self._keep = keep
        self._batch = batch
        self._room = asyncio.Semaphore(2 * batch)
        self._references: dict[Picture, Jpeg] = {}

    def close(self) -> None:
        """Let go of the threads, without waiting for a pass that nobody needs any more."""
        self.reader.shutdown(wait=False, cancel_futures=True)
        self._writers.shutdown(wait=False)

    async def ask(self, questions: Sequence[Question]) -> dict[str, Verdict]:
        """The verdicts on some questions by their ids; questions that are one and the same are asked once."""
        distinct = {self._client.verdict_id(question): question for question in questions}
        waiting = sorted(distinct.items(), key=lambda item: [picture.pts_ns for picture in item[1].pictures[item[1].has_reference :]])
        tasks: dict[str, asyncio.Task[Verdict]] = {}
        try:
            async with asyncio.TaskGroup() as group:
                for first in range(0, len(waiting), self._batch):
                    batch = waiting[first : first + self._batch]
                    for _ in batch:
                        await self._room.acquire()
                    jpegs = await self._jpegs([question for _, question in batch])
                    for name, question in batch:
                        tasks[name] = group.create_task(self._one(question, [jpegs[picture] for picture in question.pictures]))
        except BaseExceptionGroup as errors:
            raise min(errors.exceptions, key=lambda error: isinstance(error, JudgeGone)) from None
        return {name: task.result() for name, task in tasks.items()}

    async def _jpegs(self, questions: Sequence[Question]) -> dict[Picture, Jpeg]:
        """The pictures of some questions. References are kept, because nearly every question shows the same one."""
        wanted = {picture for question in questions for picture in question.pictures} - set(self._references)
        made = self._references | await asyncio.get_running_loop().run_in_executor(self.reader, self._pictures.jpegs, wanted)
        self._references |= {picture: made[picture] for question in questions for picture in question.pictures[: question.has_reference]}
        return made

    async def _one(self, question: Question, jpegs: Sequence[Jpeg]) -> Verdict:
        try:
            verdict = await self._verdict(question, jpegs)
            self._count(verdict)
            await self._save(verdict)
            return verdict
        finally:
            self._room.release()

    async def _verdict(self, question: Question, jpegs: Sequence[Jpeg]) -> Verdict:
        for jpeg in jpegs:
            if isinstance(jpeg, InputError):
                self.unreadable = self.unreadable or jpeg
                return self._client.unasked(question, PendingReason.NO_PICTURE, str(jpeg))
        return await self._client.ask(question, [jpeg for jpeg in jpegs if isinstance(jpeg, bytes)])

    async def _save(self, verdict: Verdict) -> None:
        saving = asyncio.get_running_loop().run_in_executor(self._writers, self._keep, verdict)
        stopped: asyncio.CancelledError | None = None
        while not saving.done():
            try:
                await asyncio.shield(saving)
            except asyncio.CancelledError as error:  # somebody else's trouble, and it may come more than once: what came is kept all the same
                stopped = error
        saving.result()
        if stopped is not None:
            raise stopped

    def _count(self, verdict: Verdict) -> None:
        counts = (1, verdict.problem is None, verdict.attempts, verdict.prompt_tokens or 0, verdict.completion_tokens or 0)
        self.counts.update(dict(zip(COUNTS, counts, strict=True)))
