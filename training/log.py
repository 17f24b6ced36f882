"""What a training tells while it runs: a progress bar or lines of text, OUT/metrics.jsonl, and TensorBoard.

Only rank 0 tells; on the others every call does nothing. Nothing here waits for a device or computes anything: numbers come as they are to be told.
"""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from training.cut_prompts import cut_prompts_told_once
from training.data.sample import Skipped
from training.errors import TrainingError
from training.metrics import LEVEL_NAME, NAME, MetricsFile
from training.options import TrainingOptions
from training.processes import Processes

if TYPE_CHECKING:
    from torch.utils.tensorboard.writer import SummaryWriter

TENSORBOARD = "tensorboard"
LINE_SECONDS = 10.0
"""Seconds between two lines of progress where there is no terminal, at least."""
REFRESHES = 2
"""Of the bar, per second."""


class TrainingLog:
    """The voice of a training, open while its context is.

    with TrainingLog(out, options, processes, resumed_at=start) as log:
        for step in range(start + 1, options.steps + 1):
            …
            log.advance(step)
            if log.due(step):
                log.metrics(step, {"loss": …} | throughput.read(timer.read()))

    """

    def __init__(self, out: Path, options: TrainingOptions, processes: Processes, resumed_at: int | None = None, console: Console | None = None) -> None:
        """Prepare; what is written is opened when the context is entered.

        Args:
            out: folder of the training.
            options: of the training.
            processes: who tells.
            resumed_at: the step of the checkpoint that the training goes on from; None for a new one. What was written of later steps is cut off.
            console: for people; standard error when None.

        Raises:
            TrainingError: TensorBoard is wanted and not installed.
        """
        self.console = console or Console(stderr=True)
        self._out, self._options, self._resumed_at = out, options, resumed_at
        self._tells = processes.main
        self._begin, self._step = resumed_at or 0, resumed_at or 0
        self._started, self._last_line = time.monotonic(), float("-inf")
        self._latest: Mapping[str, float] = {}
        self._stack = ExitStack()
        self._board: SummaryWriter | None = None

    def __enter__(self) -> Self:
        self._stack.enter_context(cut_prompts_told_once(self.warn))
        if self._tells:
            self._out.mkdir(parents=True, exist_ok=True)
            self._metrics = MetricsFile(self._out / NAME, self._resumed_at, self.say)
            self._stack.callback(self._metrics.close)
            if self._options.log.tensorboard:
                self._board = _open_board(self._out / TENSORBOARD, self._resumed_at)
                self._stack.callback(self._close_board)
            if self.console.is_terminal:
                self._stack.enter_context(Live(get_renderable=self._bar, console=self.console, refresh_per_second=REFRESHES))
            self._started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def due(self, step: int) -> bool:
        """Whether metrics are to be told at this step."""
        return step % self._options.log.every == 0 or step == self._options.steps

    def say(self, text: str, style: str | None = None) -> None:
        """A line for the reader."""
        if self._tells:
            self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """A line that the reader should not miss."""
        self.say(text, "yellow")

    def advance(self, step: int) -> None:
        """A step is done."""
        self._step = step

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """What steps up to this one were like.

        Args:
            step: from 1.
            values: any names; those of the bar are loss, samples_per_second, tokens_per_second, share_of_peak and data_wait.
        """
        if not self._tells:
            return
        self._step, self._latest = step, values
        self._write("training", step, values)
        last = step == self._options.steps
        if not self.console.is_terminal and (last or time.monotonic() - self._last_line >= LINE_SECONDS):
            self._last_line = time.monotonic()
            self.say(f"step {step:,} of {self._options.steps:,}: {', '.join([*describe(values), *self._to_go()])}")

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """What ``training.validation`` found."""
        if self._tells:
            self._write("validation", step, values)
            self.say(f"step {step:,}: {describe_validation(values)}")

    def skipped(self, step: int, samples: Sequence[Skipped]) -> None:
        """Samples that were not learned from, or not looked at in a validation, each by its name."""
        if self._tells:
            for sample in samples:
                self._metrics.append("skipped", step, asdict(sample))
                self.warn(f"step {step:,}: skipped {sample.key}: {sample.reason}")

    def picture(self, step: int, name: str, rgb: NDArray[np.uint8]) -> None:
        """A picture (H, W, 3), for TensorBoard."""
        if self._board is not None:
            self._to_board(lambda board: board.add_image(name, rgb, step, dataformats="HWC"))

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        self._metrics.append(kind, step, values)
        for name, value in values.items():
            self._to_board(lambda board, tag=f"{kind}/{name}", number=value: board.add_scalar(tag, number, step))

    def _to_board(self, act: Any) -> None:
        """TensorBoard's files are a convenience: where they cannot be written, the training goes on without."""
        if self._board is not None:
            try:
                act(self._board)
            except OSError as error:
                self._board = None
                self.warn(f"{self._out / TENSORBOARD} cannot be written ({error.strerror or error}); TensorBoard is told no more, {NAME} has all numbers")

    def _close_board(self) -> None:
        self._to_board(lambda board: board.close())

    def _bar(self) -> RenderableType:
        total = self._options.steps
        line = Table.grid(padding=(0, 2))
        line.add_row(f"step {self._step:,} of {total:,}", ProgressBar(total, self._step, width=30), f"{self._step / total:.0%}", *self._to_go())
        return Group(line, Text(" · ".join(describe(self._latest)), style="dim"))

    def _to_go(self) -> list[str]:
        """Time to go at the pace so far, with all that happens between steps."""
        done, elapsed = self._step - self._begin, time.monotonic() - self._started
        return [f"{timedelta(seconds=round(elapsed / done * (self._options.steps - self._step)))} to go"] if done > 0 else []


def describe(values: Mapping[str, float]) -> list[str]:
    """The numbers of the bar in words, those that are there."""
    words = {
        "loss": lambda value: f"loss {value:.4f}",
        "samples_per_second": lambda value: f"{value:.3g} samples/s",
        "tokens_per_second": lambda value: f"{_short(value)} tokens/s",
        "share_of_peak": lambda value: f"{value:.1%} of peak",
        "data_wait": lambda value: f"{value:.1%} data wait",
    }
    return [word(values[name]) for name, word in words.items() if name in values]


def describe_validation(values: Mapping[str, float]) -> str:
    """What ``training.validation.validate`` found, in words: the mean, of how many, and the loss at each noise level."""
    levels = [f"{value:.4f} at σ {name.removeprefix(LEVEL_NAME)}" for name, value in values.items() if name.startswith(LEVEL_NAME)]
    of = f" of {values['samples']:.0f} held-out samples" if "samples" in values else ""
    return f"validation loss {values['loss']:.4f}{of}" + (f": {', '.join(levels)}" if levels else "")


def _short(number: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _open_board(folder: Path, resumed_at: int | None) -> "SummaryWriter":
    try:
        from torch.utils.tensorboard.writer import SummaryWriter  # takes a second, and is not for those who do not want it
    except ImportError as error:
        raise TrainingError("TensorBoard is not installed: pip install tensorboard, or leave it out with --log.no-tensorboard") from error
    return SummaryWriter(str(folder), purge_step=None if resumed_at is None else resumed_at + 1)
