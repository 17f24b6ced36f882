import asyncio
import io
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.failures import InputError
from pipeline.refine import asking
from pipeline.refine.asking import Asked, ask_character
from pipeline.refine.client import JudgeGone
from pipeline.refine.judging import Case
from pipeline.refine.options import PictureOptions, PolicyOptions, RefineOptions, ServerOptions
from pipeline.refine.pictures import FramePictures
from pipeline.refine.questions import Picture, Question
from pipeline.refine.verdicts import Verdict
from schemas.tables import ANCHORS
from schemas.vocabulary import Agreement, FailureKind, PendingReason, QuestionKind
from tests.barcode import Kind, read_number, write_video
from tests.pipeline.refine.made_character import RANKING, Seen, case, clips, refine, verdict, whimsical

SECONDS = 20
"""After which a test has failed that should have gone on at once."""


class MadePictures:
    """Pictures that say what they are of; some cannot be had.

    Attributes:
        passes: what was asked for together.
        before: called before each pass, in its thread.
    """

    def __init__(self, *unreadable: int, before: Callable[[int], object] = lambda _: None) -> None:
        self.unreadable = unreadable
        self.passes: list[set[Picture]] = []
        self.before = before

    def jpegs(self, pictures: Collection[Picture]) -> dict[Picture, bytes | InputError]:
        self.passes.append(set(pictures))
        self.before(len(self.passes))
        return {picture: self.jpeg(picture) for picture in pictures}

    def jpeg(self, picture: Picture) -> bytes | InputError:
        if picture.pts_ns in self.unreadable:
            return InputError(FailureKind.DAMAGED, f"no frame at {picture.pts_ns}")
        return repr(picture).encode()


class MadeClient:
    """Answers as it is told; checks that it is shown the question's pictures.

    Attributes:
        asked: in order.
        delay: awaited before each answer.
    """

    def __init__(self, answer: Callable[[Question], Verdict] = verdict, delay: Callable[[Question], Coroutine[Any, Any, object]] | None = None) -> None:
        self.answer = answer
        self.delay = delay
        self.asked: list[Question] = []

    def verdict_id(self, question: Question) -> str:
        return verdict(question).verdict_id

    async def ask(self, question: Question, jpegs: Sequence[bytes]) -> Verdict:
        assert list(jpegs) == [repr(picture).encode() for picture in question.pictures]
        self.asked.append(question)
        if self.delay is not None:
            await self.delay(question)
        return self.answer(question)

    def unasked(self, question: Question, problem: PendingReason, message: str) -> Verdict:
        return verdict(question, problem=problem, message=message, attempts=0, prompt_tokens=None, completion_tokens=None)


def character(faces: int = 12) -> Case:
    """Two global anchors, a view, expressions, two clips."""
    happy = [Seen(number * 3.0, score=0.9 - 0.02 * number) for number in range(faces)]
    return case([Seen(100, "global", None), Seen(90, "global", None, 0.4), Seen(50, "viewpoint", "left"), *happy], clips((0, 5), (40, 45)))


def ask(
    of: Case,
    client: MadeClient,
    pictures: MadePictures | None = None,
    known: dict[str, Verdict] | None = None,
    keep: Callable[[Verdict], object] = lambda _: None,
    policy: PolicyOptions | None = None,
) -> Asked:
    options = RefineOptions(policy=policy or PolicyOptions(least_confidence=1), server=ServerOptions(in_flight=4))
    return asyncio.run(asyncio.wait_for(ask_character(of, pictures or MadePictures(), client, known or {}, options, RANKING, keep), SECONDS))


def rows(verdicts: Collection[Verdict]) -> list[Verdict]:
    return sorted(verdicts, key=lambda verdict: verdict.verdict_id)


@pytest.mark.parametrize("seed", range(8))
def test_all_that_is_open_is_asked_once_and_kept_whatever_comes_first(seed: int) -> None:
    of = character()
    _, known = refine(of, whimsical(seed))
    for order in range(3):
        dice = random.Random(order)

        async def delay(_: Question, dice: random.Random = dice) -> None:
            for _turn in range(dice.randint(0, 20)):
                await asyncio.sleep(0)

        client, kept = MadeClient(whimsical(seed), delay), list[Verdict]()
        asked = ask(of, client, keep=kept.append)
        assert Counter(client.asked) == Counter(known.keys())
        assert rows(kept) == rows(known.values())
        assert (asked.unreadable, asked.gone) == (None, None)
        answered = sum(verdict.problem is None for verdict in known.values())
        assert asked.counts == {
            "questions": len(known),
            "answers": answered,
            "requests": len(known),
            "prompt tokens": 100 * len(known),
            "completion tokens": 20 * len(known),
        }


def test_what_is_known_is_not_asked_again() -> None:
    of, client = character(), MadeClient(whimsical(3))
    _, known = refine(of, lambda question: verdict(question, problem=PendingReason.WRONG_ID) if "expression-6" in question.subject else whimsical(3)(question))
    assert ask(of, client, known={verdict.verdict_id: verdict for verdict in known.values()}).counts["questions"] == 0
    assert client.asked == []


def test_a_problem_of_another_run_that_may_have_gone_is_asked_about_again_once() -> None:
    of, kept = character(), list[Verdict]()
    _, before = refine(of, lambda question: verdict(question, problem=PendingReason.TIMED_OUT) if question.stated == "happy" else verdict(question))
    failed = [question for question, verdict in before.items() if verdict.problem]
    known = {verdict.verdict_id: verdict for verdict in before.values()}
    client = MadeClient(lambda question: verdict(question, problem=PendingReason.SERVER_ERROR))
    ask(of, client, known=known, keep=kept.append)
    assert failed
    assert Counter(client.asked) == Counter(failed)
    assert {verdict.problem for verdict in kept} == {PendingReason.SERVER_ERROR}
    assert known == {verdict.verdict_id: verdict for verdict in before.values()}, "left as they were"


def test_a_picture_that_cannot_be_had_is_a_problem_of_its_questions_alone() -> None:
    of, kept, client = character(), list[Verdict](), MadeClient()
    asked = ask(of, client, MadePictures(9_000_000_000, 50_000_000_000), keep=kept.append)
    lost = {verdict.subject: verdict for verdict in kept if verdict.problem is not None}
    assert set(lost) == {"expression-9", "viewpoint-50"}
    assert {(verdict.problem, verdict.attempts) for verdict in lost.values()} == {(PendingReason.NO_PICTURE, 0)}
    assert lost["expression-9"].message == "no frame at 9000000000"
    assert not any(question.subject in lost for question in client.asked)
    assert isinstance(asked.unreadable, InputError)
    assert str(asked.unreadable) == "no frame at 9000000000", "the first in time"
    assert asked.counts["questions"] == len(kept) == asked.counts["answers"] + 2


def test_one_that_cannot_be_seen_at_all_comes_to_an_end() -> None:
    of, client, kept = character(), MadeClient(), list[Verdict]()
    asked = ask(of, client, MadePictures(*of.candidates["pts_ns"].to_pylist()), keep=kept.append)
    assert {verdict.problem for verdict in kept} == {PendingReason.NO_PICTURE}
    assert asked.counts["answers"] == asked.counts["requests"] == len(client.asked) == 0


def test_equal_questions_are_asked_once() -> None:
    span = clips((0, 5), (0, 5))
    twice = span.set_column(span.column_names.index("clip_id"), "clip_id", [["one", "two"]])
    client = MadeClient()
    client.verdict_id = lambda question: verdict(question).picture_hash + question.kind  # type: ignore[method-assign]
    ask(case([], twice), client)
    assert [question.kind for question in client.asked] == [QuestionKind.CAPTION]


def test_requests_are_under_way_at_the_same_time() -> None:
    async def main() -> None:
        barrier = asyncio.Barrier(4)

        async def together(question: Question) -> None:
            if question.kind is QuestionKind.EXPRESSION:
                await asyncio.wait_for(barrier.wait(), SECONDS)

        await ask_character(character(4), MadePictures(), MadeClient(delay=together), {}, RefineOptions(), RANKING, lambda _: None)

    asyncio.run(main())


def test_pictures_are_made_ahead_but_not_too_far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers to the first batch come only when the second one's pictures are being made, and the third one's wait for those answers."""
    monkeypatch.setattr(asking, "BATCH", 4)
    ahead, answered, answered_before = threading.Event(), 0, list[int]()

    def before(number: int) -> None:
        answered_before.append(answered)
        if number == 2:
            ahead.set()

    async def delay(_: Question) -> None:
        nonlocal answered
        assert await asyncio.to_thread(ahead.wait, SECONDS)
        answered += 1

    pictures, client = MadePictures(before=before), MadeClient(delay=delay)
    ask(case([], clips(*((second, second + 1) for second in range(0, 100, 2)))), client, pictures)
    assert len(client.asked) == 50
    assert len(answered_before) == 13
    assert answered_before[1] == 0
    assert all(done >= 4 * (number - 1) for number, done in enumerate(answered_before))
    times = [sorted(picture.pts_ns for picture in together) for together in pictures.passes]
    assert [time for together in times for time in together] == sorted(time for together in times for time in together), "the file is read forwards"


def test_the_reference_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "BATCH", 4)
    pictures, client = MadePictures(), MadeClient()
    ask(character(), client, pictures)
    (reference,) = {question.pictures[0] for question in client.asked if question.has_reference}
    behind = [together for together in pictures.passes if any(picture.pts_ns < 60_000_000_000 for picture in together)]
    assert len(behind) > 1
    assert sum(reference in together for together in behind) == 1


@pytest.mark.parametrize("error", [JudgeGone("nobody answers; start it again"), InputError(FailureKind.STORAGE, "the disk is full")])
def test_what_came_before_the_end_is_kept(error: Exception) -> None:
    """One question meets the end; those before it are answered, those behind it wait for ever."""
    kept: list[Verdict] = []
    given_up: list[Question] = []

    def keep(verdict: Verdict) -> None:
        if isinstance(error, InputError) and verdict.subject == "expression-6":
            raise error
        kept.append(verdict)

    async def delay(question: Question) -> None:
        if question.subject == "expression-6":
            while len(kept) < 4:
                await asyncio.sleep(0)
            if isinstance(error, JudgeGone):
                raise error
        elif question.kind is QuestionKind.EXPRESSION and question.subject != "expression-3":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                given_up.append(question)
                raise

    of = case([Seen(100, "global", None), Seen(90, "global", None, 0.4), Seen(50, "viewpoint", "left"), *(Seen(second) for second in (0, 3, 6, 9))])
    if isinstance(error, JudgeGone):
        asked = ask(of, MadeClient(delay=delay), keep=keep)
        assert asked.gone == str(error)
        assert (asked.counts["questions"], asked.counts["answers"], asked.counts["prompt tokens"]) == (4, 4, 400)
    else:
        with pytest.raises(InputError) as caught:
            ask(of, MadeClient(delay=delay), keep=keep)
        assert caught.value is error
    assert {verdict.subject for verdict in kept} == {"global-100", "global-90", "viewpoint-50", "expression-3"}
    assert {question.subject for question in given_up} == {"expression-0", "expression-9"}


def test_a_full_disk_is_told_even_where_the_judge_has_gone_too() -> None:
    full = InputError(FailureKind.STORAGE, "the disk is full")

    async def delay(question: Question) -> None:
        if question.subject == "viewpoint-50":
            raise JudgeGone("nobody answers")

    def keep(verdict: Verdict) -> None:
        if verdict.subject != "global-100":
            raise full

    with pytest.raises(InputError, match="the disk is full"):
        ask(case([Seen(100, "global", None), Seen(50, "viewpoint", "left"), Seen(0)]), MadeClient(delay=delay), keep=keep)


def test_a_verdict_that_is_being_written_is_waited_for() -> None:
    """The job is stopped, more than once, while the write of the first verdict has begun."""
    begun, go_on, written = threading.Event(), threading.Event(), list[Verdict]()

    def keep(verdict: Verdict) -> None:
        begun.set()
        assert go_on.wait(SECONDS)
        written.append(verdict)

    async def main() -> None:
        options = RefineOptions()
        task = asyncio.create_task(ask_character(case([Seen(1, "global", None)]), MadePictures(), MadeClient(), {}, options, RANKING, keep))
        assert await asyncio.to_thread(begun.wait, SECONDS)
        everybody = asyncio.all_tasks() - {asyncio.current_task()}
        for _ in range(3):
            for one in everybody:
                one.cancel()
            for _ in range(10):
                await asyncio.sleep(0)
            assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, SECONDS)

    asyncio.run(main())
    assert [verdict.subject for verdict in written] == ["global-1"]


def test_a_character_of_a_real_video_is_shown_as_it_was_observed(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4", Kind.B_FRAMES, frames=150)
    of = case(
        [Seen(video.pts_ns[at] / 1e9, "global", None, 1 - at / 200) for at in (4, 80)] + [Seen(video.pts_ns[at] / 1e9) for at in (10, 140)], clips((1, 4))
    )
    whole = ANCHORS.from_rows(row | {"face_box": [0.0, 0.0, 1.0, 1.0]} for row in of.candidates.to_pylist())
    of = Case(whole, of.clips, video.width, video.height)
    shown: dict[str, list[int]] = {}  # what can be read in whole frames; the code is too wide for a square

    class Reader(MadeClient):
        async def ask(self, question: Question, jpegs: Sequence[bytes]) -> Verdict:
            images = [np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")) for jpeg in jpegs]
            shown[question.subject] = [read_number(image) for image in images if image.shape[1] > image.shape[0]]
            return verdict(question, **({} if question.kind is QuestionKind.CAPTION or not question.has_reference else {"same_person": Agreement.UNSURE}))

    with FramePictures(str(video.path), PictureOptions()) as pictures:
        asyncio.run(ask_character(of, pictures, Reader(), {}, RefineOptions(), RANKING, lambda _: None))
    assert len(shown) == 5
    assert shown["clip-1"] == [video.number_at(round(second * 1e9)) for second in (1.5, 2.5, 3.5)]
