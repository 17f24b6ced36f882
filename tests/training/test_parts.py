from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.small_training import assembled
from training.data.batches import Step
from training.data.sample import Skipped
from training.learned import Learned
from training.metrics import NAME, read
from training.options import BatchOptions, CheckpointOptions, LogOptions, TrainingOptions, ValidationOptions
from training.parts import Parts, Progress
from training.processes import Processes

Make = Callable[..., TrainingOptions]


@pytest.fixture
def parts(small_options: Make, alone: Processes) -> Parts:
    return assembled(small_options(), alone)


def told(parts: Parts) -> str:
    text: str = parts.log.console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_progress_counts_every_sample_that_had_its_turn() -> None:
    progress = Progress()
    progress.advance(Step(0, 0, np.arange(4), passed_over=0), learned=3)
    progress.advance(Step(0, 4, np.arange(2), passed_over=5), learned=2)
    assert progress == Progress(step=2, position=11, learned=5, skipped=1, passed_over=5)
    assert progress.position == progress.learned + progress.skipped + progress.passed_over


def test_the_introduction_counts_parameters_samples_and_what_is_left_over(parts: Parts) -> None:
    with parts.log:
        parts.introduce()
    parameters = sum(parameter.numel() for parameter in parts.network.parameters())
    assert f"{parameters:,} parameters are trained (audio, self_attention," in told(parts)
    assert "0 are frozen; 1 x cpu, float32" in told(parts)
    assert "18 samples of 4 characters, read as pixels; 0 are held out; 6 steps per epoch" in told(parts)
    assert told(parts).count("9 samples, of which 1 are a short batch at the end of an epoch") == 2


def test_short_batches_that_are_passed_over_are_said(small_options: Make, alone: Processes) -> None:
    options = small_options()
    parts = assembled(replace(options, data=replace(options.data, short_batches="skip"), trained=("audio",)), alone)
    with parts.log:
        parts.introduce()
    assert "9 samples, of which 1 are passed over at the end of an epoch" in told(parts)
    assert "parameters are trained (audio), " in told(parts)
    assert "4 steps per epoch" in told(parts)


def test_what_the_network_computes_is_counted(parts: Parts) -> None:
    """16x12 pixels are 8x6 latents, 12 tokens; 9 frames are 3 latents."""
    micro = next(parts.samples)
    parts.count(micro.samples, parts.conditioner(micro.samples))
    found = parts.throughput.read(parts.timer.read())
    anchors = sum(len(sample.anchor_classes) for sample in micro.samples)
    assert found["tokens_per_second"] / found["samples_per_second"] == pytest.approx((3 * 4 + anchors) * 12 / 4)
    assert found["share_of_peak"] > 0
    assert parts.throughput.trained == 1.0


def test_metrics_are_means_since_the_last_and_say_where_it_stands(small_options: Make, alone: Processes, tmp_path: Path) -> None:
    parts = assembled(small_options(log=LogOptions(2, tensorboard=False)), alone)
    with parts.log:
        for step, loss in enumerate((1.0, 3.0, 5.0), 1):
            parts.progress.advance(Step(0, 4 * step - 4, np.arange(4), 0), 4)
            parts.tell(Learned(loss, 4, loss / 2, 0.25 * step, stop=False))
    (line,) = read(tmp_path / "out" / NAME)
    assert (line["step"], line["loss"], line["gradient_norm"]) == (2, 2.0, 1.0)
    assert (line["position"], line["learned"], line["skipped"], line["passed_over"]) == (8, 8, 0, 0)
    assert line["epoch"] == pytest.approx(8 / 18)
    assert line["rate"] == 0.5  # that of the step itself
    assert (parts.progress.untold, parts.progress.loss_sum, parts.progress.gradient_norm_sum) == (1, 5.0, 2.5)


def test_skipped_samples_are_named_where_there_may_be_some(small_options: Make, alone: Processes, tmp_path: Path) -> None:
    options = small_options()
    for skips in (False, True):
        parts = assembled(replace(options, data=replace(options.data, skip_damaged=skips)), alone)
        with parts.log:
            parts.tell_skipped([Skipped("clip-03", "clip-03: is damaged")])
        assert ("step 1: skipped clip-03: clip-03: is damaged" in told(parts)) == skips
    (line,) = read(tmp_path / "out" / NAME)
    assert (line["kind"], line["step"], line["key"]) == ("skipped", 1, "clip-03")


def test_checkpoints_and_validations_are_due_in_their_turn_and_at_the_end(small_options: Make, alone: Processes) -> None:
    options = small_options(
        steps=11, checkpoint=CheckpointOptions(every=4), validation=ValidationOptions(share=0, characters=("character-3",), every=5), batch=BatchOptions(4, 4)
    )
    parts = assembled(options, alone)
    due: dict[str, list[int]] = {"checkpoint": [], "validation": []}
    for parts.progress.step in range(1, 12):
        due["checkpoint"] += [parts.progress.step] * parts.checkpoint_due
        due["validation"] += [parts.progress.step] * parts.validation_due
    assert due == {"checkpoint": [4, 8, 11], "validation": [5, 10, 11]}


def test_a_validation_is_owed_until_it_is_told(small_options: Make, alone: Processes) -> None:
    parts = assembled(small_options(validation=ValidationOptions(share=0, characters=("character-3",), every=5, pictures=0)), alone)
    with parts.log:
        owed = []
        for parts.progress.step in (0, 4, 5):
            owed.append(parts.validation_owed)
        parts.log.validation(5, {"loss": 1.0})
        assert [*owed, parts.validation_owed] == [False, False, True, False]


def test_nothing_to_do_is_said(small_options: Make, alone: Processes) -> None:
    parts = assembled(small_options(), alone)
    parts.progress.step = 20
    with parts.log:
        parts.introduce()
    assert "all 20 steps are done already: there is nothing to do" in told(parts)


def test_with_nothing_to_look_at_no_validation_is_due(small_options: Make, alone: Processes) -> None:
    parts = assembled(small_options(validation=ValidationOptions(share=0, pictures=0)), alone)
    parts.progress.step = 20
    assert not parts.validation_due


def test_saving_keeps_the_progress(parts: Parts, small_options: Make, alone: Processes) -> None:
    parts.progress = Progress(3, 12, 11, 1, 0, untold=3, loss_sum=0.1 + 0.2, gradient_norm_sum=1 / 3)  # to the bit
    parts.save()
    assert assembled(small_options(), alone).progress == parts.progress
