"""Asking the judge: one unit per character, several of them in a worker's hands at once, all through one asynchronous client.

What comes back is written as it comes; what it means for anchors and clips is decided afterwards, see jobs.refine.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from jobs import parts, verdict_parts
from jobs.stage import UnitResult
from pipeline.failures import InputError
from pipeline.refine.asking import ask_character
from pipeline.refine.client import JudgeClient
from pipeline.refine.judging import Case
from pipeline.refine.options import RefineOptions
from pipeline.refine.pictures import FramePictures
from pipeline.refine.prompting import Prompt
from pipeline.refine.verdicts import Verdict
from pipeline.select.ranking import RankingOptions
from schemas import tables
from schemas.vocabulary import FailureKind, QuestionKind

CLOSE_SECONDS = 10.0

LOOK_AGAIN_SECONDS = 1.0
"""How often a unit that waits for answers looks whether the job was stopped."""

T = TypeVar("T")


@dataclass(frozen=True)
class AskUnit:
    """A character that is to be asked about."""

    uri: str
    video_id: str
    character_id: str
    width: int
    height: int
    verdicts: tuple[str, ...]
    """names of the parts that hold its video's verdicts"""
    media_seconds: float = 0.0

    @property
    def source(self) -> str:
        """What the failures table calls it."""
        return f"{self.uri}#{self.character_id}"

    def __str__(self) -> str:
        return self.source


@dataclass(frozen=True)
class Asked(UnitResult):
    """What asking about a character gave."""

    gone: str | None = None
    """why the judge was given up, if it was"""
    unreadable: InputError | None = None
    """why pictures could not be made, if some could not"""


@dataclass(frozen=True)
class _Video:
    """What several characters of a video share."""

    video_id: str
    anchors: pa.Table
    clips: pa.Table
    known: dict[str, Verdict]


@dataclass
class AskWork:
    """Asks about a character and keeps the verdicts."""

    out: str
    options: RefineOptions
    ranking: RankingOptions
    model: str
    prompts: dict[QuestionKind, Prompt]
    key: str = field(repr=False)
    name: str = "refine"
    _client: JudgeClient | None = field(default=None, init=False, repr=False)
    _loop: asyncio.AbstractEventLoop | None = field(default=None, init=False, repr=False)
    _thread: threading.Thread | None = field(default=None, init=False, repr=False)
    _video: _Video | None = field(default=None, init=False, repr=False)
    _closing: bool = field(default=False, init=False, repr=False)
    _lock: Any = field(default=None, init=False, repr=False)

    @property
    def units_at_once(self) -> int:
        """Characters in hand at the same time."""
        return self.options.characters_at_once

    def setup(self) -> None:
        """Start the loop in which all requests of this worker run."""
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._client = JudgeClient(self.model, self.prompts, self.options.server, self.options.pictures, self.key)
        self._thread = threading.Thread(target=self._loop.run_forever, name="judge", daemon=True)
        self._thread.start()

    def __call__(self, unit: AskUnit) -> Asked:
        """Ask; raises InputError when tables cannot be read or verdicts not be written."""
        assert self._client is not None, "setup() comes first"
        video = self._shared(unit)
        own = pc.equal(video.anchors["character_id"], unit.character_id)
        clips = video.clips.filter(pc.equal(video.clips["character_id"], unit.character_id))
        case = Case(video.anchors.filter(own), clips, unit.width, unit.height)
        # Looked at anew, because a worker that died in this unit may have kept some since the job began.
        own_parts = parts.part_names(self.out, tables.VERDICTS, unit.character_id)
        known = video.known | verdict_parts.read(self.out, own_parts)
        verdicts = verdict_parts.CharacterVerdicts(self.out, unit.character_id, known, own_parts)
        try:
            with FramePictures(unit.uri, self.options.pictures, self.options.decoder, self.options.threads) as pictures:
                asked = self._run(ask_character(case, pictures, self._client, verdicts.final, self.options, self.ranking, verdicts.keep))
        finally:
            verdicts.merge()
        return Asked(asked.counts, gone=asked.gone, unreadable=asked.unreadable)

    def close(self) -> None:
        """Let go of requests under way, and of the server."""
        if self._loop is None or self._client is None or self._thread is None:
            return
        self._closing = True
        asyncio.run_coroutine_threadsafe(_end(self._client), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        assert self._loop is not None, "setup() comes first"
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        while not wait([future], LOOK_AGAIN_SECONDS).done:
            if self._closing:
                raise InputError(FailureKind.WORKER_DIED, "the job was stopped")
        try:
            return future.result()
        except CancelledError as error:
            raise InputError(FailureKind.WORKER_DIED, "the job was stopped") from error

    def _shared(self, unit: AskUnit) -> _Video:
        """The tables of a unit's video; kept, because its characters tend to come one after another."""
        with self._lock:
            if self._video is None or self._video.video_id != unit.video_id:
                anchors = parts.read_part(self.out, tables.ANCHORS, unit.video_id)
                clips = parts.read_part(self.out, tables.CLIPS, unit.video_id)
                self._video = _Video(unit.video_id, anchors, clips, verdict_parts.read(self.out, unit.verdicts))
            return self._video


async def _end(client: JudgeClient) -> None:
    """Let go of all that is under way in this loop, and of the server."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await client.close()
