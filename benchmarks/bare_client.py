"""The requests that ``refine`` sent, sent again by a bare asyncio client: what a server can do for somebody who does nothing else."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from openai import AsyncOpenAI

from jobs import parts
from pipeline.failures import InputError
from pipeline.refine.client import CAPTION_TOKENS, TOKENS
from pipeline.refine.judging import Case, judge
from pipeline.refine.options import PictureOptions, PolicyOptions
from pipeline.refine.pictures import FramePictures
from pipeline.refine.prompting import load_prompts, messages
from pipeline.refine.questions import Picture, Question, content_hash, verdict_id
from pipeline.refine.verdicts import Verdict
from pipeline.select.ranking import RankingOptions
from schemas.answers import answer_schema
from schemas.tables import ANCHORS, CHARACTERS, CLIPS, VIDEOS
from schemas.vocabulary import QuestionKind

PROMPTS, PICTURES = load_prompts(), PictureOptions()
"""Those that refine uses unless it is told otherwise."""

TIMEOUT = 300.0
"""Seconds of a request."""


@dataclass(frozen=True)
class Asked:
    """A question that was asked, as it was asked.

    Attributes:
        question: which.
        jpegs: its pictures.
        verdict_id: its verdict's.
        model: whom.
    """

    question: Question
    jpegs: tuple[bytes, ...]
    verdict_id: str
    model: str

    def body(self, run: str) -> dict[str, Any]:
        """The chat request, with another id in every run."""
        kind, request_id = self.question.kind, content_hash([self.verdict_id, run])
        schema = answer_schema(kind, request_id, self.question.has_reference)
        return {
            "model": self.model,
            "messages": messages(PROMPTS[kind], self.question, request_id, self.jpegs),
            "temperature": 0,
            "max_tokens": CAPTION_TOKENS if kind is QuestionKind.CAPTION else TOKENS,
            "response_format": {"type": "json_schema", "json_schema": {"name": str(kind), "strict": True, "schema": schema}},
        }


async def send(asked: Sequence[Asked], url: str, in_flight: int, run: str) -> list[tuple[float, float]]:
    """Send all requests, so many at the same time, and give the begin and the end of each, in seconds."""
    bodies = [one.body(run) for one in asked]
    places = asyncio.Semaphore(in_flight)
    async with AsyncOpenAI(base_url=url, api_key="EMPTY", max_retries=0, timeout=TIMEOUT) as client:

        async def one(body: dict[str, Any]) -> tuple[float, float]:
            async with places:
                begin = time.perf_counter()
                await client.chat.completions.create(**body)
                return begin, time.perf_counter()

        return await asyncio.gather(*map(one, bodies))


def asked_in(out: Path, verdicts: Sequence[Verdict], policy: PolicyOptions, ranking: RankingOptions) -> list[Asked]:
    """What was asked, in the order of the answers.

    Args:
        out: the output root, refined with the prompts and pictures that ship.
        verdicts: of one model, all that refining brought.
        policy: with which it was refined.
        ranking: with which select ranked.

    Raises:
        ValueError: the question behind a verdict is not asked with these options.
        InputError: a picture cannot be made.
    """
    videos = {row["video_id"]: row for row in parts.read_parts(str(out), VIDEOS).to_pylist()}
    found: dict[str, Question] = {}
    by_id = {verdict.verdict_id: verdict for verdict in verdicts}

    def known(question: Question) -> Verdict | None:
        picture_hash = question.picture_hash(PICTURES.pixels, PICTURES.jpeg_quality)
        name = verdict_id(picture_hash, question, PROMPTS[question.kind].hash, verdicts[0].model)
        found[name] = question
        return by_id.get(name)

    for row in parts.read_parts(str(out), CHARACTERS).to_pylist():
        own, video = pc.field("character_id") == row["character_id"], videos[row["video_id"]]
        anchors, clips = (parts.read_part(str(out), table, row["video_id"]).filter(own) for table in (ANCHORS, CLIPS))
        judge(Case(anchors, clips, video["width"], video["height"]), known, policy, PICTURES, ranking)
    if missing := by_id.keys() - found.keys():
        raise ValueError(f"{len(missing)} of {len(by_id)} verdicts in {out} answer questions that are not asked with these options")
    jpegs = _jpegs({name: video["uri"] for name, video in videos.items()}, [found[name] for name in by_id])
    in_order = sorted(verdicts, key=lambda verdict: verdict.answered_at)
    return [Asked(found[one.verdict_id], _of(found[one.verdict_id], jpegs), one.verdict_id, one.model) for one in in_order]


def _jpegs(uris: dict[str, str], questions: Sequence[Question]) -> dict[tuple[str, Picture], bytes | InputError]:
    """Every picture of some questions, by video."""
    made: dict[tuple[str, Picture], bytes | InputError] = {}
    for video_id, uri in uris.items():
        wanted = {picture for question in questions if question.video_id == video_id for picture in question.pictures}
        with FramePictures(uri, PICTURES) as pictures:
            made |= {(video_id, picture): jpeg for picture, jpeg in pictures.jpegs(wanted).items()}
    return made


def _of(question: Question, made: dict[tuple[str, Picture], bytes | InputError]) -> tuple[bytes, ...]:
    jpegs = []
    for picture in question.pictures:
        jpeg = made[question.video_id, picture]
        if isinstance(jpeg, InputError):
            raise jpeg
        jpegs.append(jpeg)
    return tuple(jpegs)
