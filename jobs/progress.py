"""Progress that a person can follow: bars on a terminal, a line every few seconds in a log."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.text import Text

LINE_SECONDS = 10.0
"""Seconds between two lines in a log."""


class StageProgress:
    """How far one stage is.

    Attributes:
        name: the stage's word.
        units: how many there are.
        media_seconds: seconds of video in them; 0 where that says nothing about the work.
    """

    def __init__(self, name: str, units: int, media_seconds: float) -> None:
        self.name, self.units, self.media_seconds = name, units, media_seconds
        self.done_units, self.done_seconds, self.failed = 0, 0.0, 0
        self._started = time.monotonic()

    def advance(self, media_seconds: float = 0.0, failed: bool = False) -> None:
        """A unit is done, or has failed."""
        self.done_units += 1
        self.done_seconds += media_seconds
        self.failed += failed

    @property
    def share(self) -> float:
        """0..1 done, by seconds of video where they are known."""
        if self.media_seconds > 0:
            return min(1.0, self.done_seconds / self.media_seconds)
        return self.done_units / self.units if self.units else 1.0

    @property
    def elapsed(self) -> float:
        """Seconds since the stage began."""
        return time.monotonic() - self._started

    @property
    def remaining(self) -> float | None:
        """Seconds to go at the pace so far; None before anything is done."""
        return self.elapsed * (1 - self.share) / self.share if self.share > 0 else None

    def describe(self) -> str:
        """Units, video, speed and failures in words."""
        words = [f"{self.done_units}/{self.units} units"]
        if self.media_seconds > 0:
            words.append(f"{clock(self.done_seconds)} of {clock(self.media_seconds)} video")
            words.append(f"{self.done_seconds / max(self.elapsed, 1e-9):.1f} × real time")
        if self.failed:
            words.append(f"{self.failed} failed")
        return ", ".join(words)


class Progress:
    """Shows the stages of a job. A context manager; stages come one after another."""

    def __init__(self, console: Console | None = None, line_seconds: float = LINE_SECONDS) -> None:
        self.console = console or Console(stderr=True)
        self._line_seconds = line_seconds

    def say(self, text: str) -> None:
        """A line for the reader."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, name: str, units: int, media_seconds: float = 0.0) -> Iterator[StageProgress]:
        """Show a stage while the block runs; the block calls ``advance`` on what it is given."""
        stage = StageProgress(name, units, media_seconds)
        with self._bar(stage) if self.console.is_terminal else self._lines(stage):
            yield stage

    @contextmanager
    def _bar(self, stage: StageProgress) -> Iterator[None]:
        columns = (TextColumn("{task.description:8}"), BarColumn(bar_width=30), TextColumn("{task.percentage:>3.0f}%"), _Details(stage), TimeElapsedColumn())
        with Bars(*columns, console=self.console) as bars:
            task = bars.add_task(stage.name, total=1.0)
            with _every(0.25, lambda: bars.update(task, completed=stage.share)):
                yield
            bars.update(task, completed=stage.share)

    @contextmanager
    def _lines(self, stage: StageProgress) -> Iterator[None]:
        self.say(f"{stage.name}: {stage.units} units" + (f", {clock(stage.media_seconds)} of video" if stage.media_seconds else ""))
        with _every(self._line_seconds, lambda: self.say(f"{stage.name}: {stage.describe()}{_to_go(stage)}")):
            yield
        self.say(f"{stage.name}: ended after {clock(stage.elapsed)}: {stage.describe()}")


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    return str(timedelta(seconds=round(seconds)))


def _to_go(stage: StageProgress) -> str:
    return f", {clock(stage.remaining)} to go" if stage.remaining is not None else ""


class _Details(ProgressColumn):
    """What a bar cannot show."""

    def __init__(self, stage: StageProgress) -> None:
        super().__init__()
        self._stage = stage

    def render(self, task: Task) -> Text:  # noqa: ARG002 - rich's signature
        return Text(self._stage.describe() + _to_go(self._stage), style="dim")


@contextmanager
def _every(seconds: float, act: Callable[[], object]) -> Iterator[None]:
    """Do something every few seconds, in a thread, until the block ends."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(seconds):
            act()

    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
