import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from tests.training.stand_ins import Alone
from training.data.sample import Skipped
from training.log import TENSORBOARD, TrainingLog, describe, describe_validation
from training.metrics import NAME, read
from training.options import LogOptions, TrainingOptions

NUMBERS = {"loss": 0.51234, "samples_per_second": 12.34, "tokens_per_second": 45_600.0, "share_of_peak": 0.412, "data_wait": 0.021, "rate": 1e-4}


def options(steps: int = 100, every: int = 10, tensorboard: bool = False) -> TrainingOptions:
    return TrainingOptions(("shards",), "out", "start", steps=steps, log=LogOptions(every, tensorboard))


def opened(out: Path, rank: int = 0, resumed_at: int | None = None, terminal: bool = False, **changes: Any) -> tuple[TrainingLog, io.StringIO]:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    return TrainingLog(out, options(**changes), Alone(rank), resumed_at, console), text  # type: ignore[arg-type]


def test_a_line_in_the_file_and_one_for_the_reader(tmp_path: Path) -> None:
    log, text = opened(tmp_path)
    with log:
        log.advance(10)
        log.metrics(10, NUMBERS)
    assert read(tmp_path / NAME) == [{"kind": "training", "step": 10, **NUMBERS}]
    line = text.getvalue()
    assert line.startswith("step 10 of 100: loss 0.5123, 12.3 samples/s, 45.6k tokens/s, 41.2% of peak, 2.1% data wait, ")
    assert line.endswith("to go\n")


def test_lines_for_readers_are_far_between_and_the_last_is_there(tmp_path: Path) -> None:
    log, text = opened(tmp_path)
    with log:
        for step in range(10, 101, 10):
            log.metrics(step, NUMBERS)
    assert [line.split(":")[0] for line in text.getvalue().splitlines()] == ["step 10 of 100", "step 100 of 100"]
    assert len(read(tmp_path / NAME)) == 10


def test_metrics_are_due_at_every_so_manieth_step_and_the_last(tmp_path: Path) -> None:
    log, _ = opened(tmp_path, steps=25)
    assert [step for step in range(1, 26) if log.due(step)] == [10, 20, 25]


def test_only_rank_0_tells(tmp_path: Path) -> None:
    log, text = opened(tmp_path / "out", rank=1, tensorboard=True)
    with log:
        log.advance(1)
        log.metrics(1, NUMBERS)
        log.validation(1, {"loss": 1.0})
        log.skipped(1, [Skipped("key", "why")])
        log.picture(1, "samples", np.zeros((2, 2, 3), np.uint8))
        log.warn("something")
    assert not (tmp_path / "out").exists()
    assert text.getvalue() == ""


def test_each_step_stands_once_when_the_training_goes_on(tmp_path: Path) -> None:
    for resumed_at, steps in ((None, (10, 20, 30)), (20, (30, 40))):
        log, _ = opened(tmp_path, resumed_at=resumed_at)
        with log:
            for step in steps:
                log.metrics(step, {"loss": 1.0})
    assert [line["step"] for line in read(tmp_path / NAME)] == [10, 20, 30, 40]


def test_skipped_samples_are_named(tmp_path: Path) -> None:
    log, text = opened(tmp_path)
    with log:
        log.skipped(3, [Skipped("clip-1", "its video is damaged"), Skipped("clip-2", "left out")])
    assert [(line["step"], line["key"]) for line in read(tmp_path / NAME)] == [(3, "clip-1"), (3, "clip-2")]
    assert "step 3: skipped clip-1: its video is damaged" in text.getvalue()


def test_the_bar_shows_step_and_numbers(tmp_path: Path) -> None:
    log, text = opened(tmp_path, terminal=True)
    with log:
        log.advance(50)
        log.metrics(50, NUMBERS)
        log.advance(51)
        log.say("something happened")
    shown = text.getvalue()
    assert "step 51 of 100" in shown
    assert "51%" in shown
    assert "loss 0.5123 · 12.3 samples/s · 45.6k tokens/s · 41.2% of peak · 2.1% data wait" in shown
    assert "something happened" in shown


def test_the_time_to_go_is_that_of_the_pace_since_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    log, text = opened(tmp_path, resumed_at=20)
    with log:
        now[0] += 90.0
        log.metrics(50, {"loss": 1.0})  # 30 steps in 90 s, 50 to go
    assert text.getvalue() == "step 50 of 100: loss 1.0000, 0:02:30 to go\n"


def test_words_are_those_of_the_numbers_there_are() -> None:
    assert describe({"loss": 2.0, "tokens_per_second": 3.21e6, "other": 1.0}) == ["loss 2.0000", "3.21M tokens/s"]
    assert describe({}) == []


def test_a_validation_is_told_in_words() -> None:
    values = {"loss": 0.25, "samples": 12, "loss_sigma_0.3000": 0.2, "loss_sigma_0.9000": 0.3}
    assert describe_validation(values) == "validation loss 0.2500 of 12 held-out samples: 0.2000 at σ 0.3000, 0.3000 at σ 0.9000"
    assert describe_validation({"loss": 0.25}) == "validation loss 0.2500"


def test_tensorboard_has_the_same_numbers_once(tmp_path: Path) -> None:
    for resumed_at, steps in ((None, (10, 20, 30)), (20, (30, 40))):
        log, _ = opened(tmp_path, resumed_at=resumed_at, tensorboard=True)
        with log:
            for step in steps:
                log.metrics(step, {"loss": step / 7})
            log.validation(steps[-1], {"loss": 0.5})
            log.picture(steps[-1], "samples", np.full((4, 6, 3), 200, np.uint8))
    events = EventAccumulator(str(tmp_path / TENSORBOARD)).Reload()
    assert [(one.step, pytest.approx(one.step / 7)) for one in events.Scalars("training/loss")] == [
        (step, pytest.approx(step / 7)) for step in (10, 20, 30, 40)
    ]
    assert [one.step for one in events.Scalars("validation/loss")] == [40]
    assert (events.Images("samples")[-1].width, events.Images("samples")[-1].height) == (6, 4)


def test_a_tensorboard_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    log, text = opened(tmp_path, tensorboard=True)
    with log:

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        log._board.add_scalar = full  # type: ignore[union-attr, method-assign]
        log.metrics(10, {"loss": 1.0})
        log.metrics(20, {"loss": 1.0})
    assert text.getvalue().count("No space left on device") == 1
    assert len(read(tmp_path / NAME)) == 2


def test_lines_are_json_to_everybody(tmp_path: Path) -> None:
    log, _ = opened(tmp_path)
    with log:
        log.validation(7, {"loss": 0.25, "loss_sigma_0.5000": float("nan")})
    assert json.loads((tmp_path / NAME).read_text()) == {"kind": "validation", "step": 7, "loss": 0.25, "loss_sigma_0.5000": None}
