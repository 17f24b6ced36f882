"""Gradients against autograd of the mean loss of all samples at once, whatever they were cut into."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.training.small_training import assembled
from training.conditioning import TrainingBatch
from training.errors import TrainingError
from training.loop import learn, train
from training.loss import velocity_losses
from training.metrics import NAME, Line, read
from training.options import BatchOptions, DataOptions, LogOptions, OptimizerOptions, TrainingOptions, ValidationOptions
from training.parts import Parts
from training.processes import Processes

Make = Callable[..., TrainingOptions]
NO_CLIP = OptimizerOptions(rate=1e-3, warmup=5, clip=1e9)


@pytest.fixture
def options(small_options: Make) -> TrainingOptions:
    return small_options(optimizer=NO_CLIP)


def watch(parts: Parts, seen: list[dict[str, Tensor]]) -> None:
    parts.optimizer.register_step_pre_hook(
        lambda *_: seen.append({name: parameter.grad.clone() for name, parameter in parts.trained.items() if parameter.grad is not None})
    )


def at_once(options: TrainingOptions, alone: Processes) -> tuple[Parts, TrainingBatch]:
    """A training that has not begun, and all samples of its first step in one batch."""
    parts = assembled(replace(options, batch=BatchOptions(4, 4)), alone)
    return parts, parts.conditioner(next(parts.samples).samples)


def by_hand(parts: Parts, batch: TrainingBatch, rows: list[int]) -> tuple[float, dict[str, Tensor]]:
    """The mean loss of some samples of a batch, and its gradient."""
    loss = velocity_losses(parts.network, batch)[rows].mean()
    names, parameters = list(parts.trained), list(parts.trained.values())
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return loss.item(), {name: gradient for name, gradient in zip(names, found, strict=True) if gradient is not None}


def assert_close(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        assert torch.allclose(gradient, other[name], rtol=1e-4, atol=1e-6), name


@pytest.mark.parametrize("micro", [1, 3, 4])
def test_the_gradient_is_that_of_the_mean_over_uneven_micro_batches(options: TrainingOptions, alone: Processes, micro: int) -> None:
    parts = assembled(replace(options, batch=BatchOptions(4, micro)), alone)
    loss, truth = by_hand(*at_once(options, alone), [0, 1, 2, 3])
    seen: list[dict[str, Tensor]] = []
    watch(parts, seen)
    with parts.log:
        learned = learn(parts, next(iter(parts.plan.steps(0))))
    assert_close(seen[0], truth)
    assert learned.loss == pytest.approx(loss, rel=1e-5)
    assert learned.samples == 4
    norm = torch.stack([gradient.square().sum() for gradient in truth.values()]).sum().sqrt().item()
    assert learned.gradient_norm == pytest.approx(norm, rel=1e-4)
    assert all(parameter.grad is None for parameter in parts.trained.values())


def test_samples_that_are_left_out_weigh_nothing(options: TrainingOptions, alone: Processes) -> None:
    parts, batch = at_once(options, alone)
    loss, truth = by_hand(parts, batch, [0, 2])
    left_out = replace(options.data, leave_out=(batch.keys[1], batch.keys[3]))
    again = assembled(replace(options, data=left_out, batch=BatchOptions(4, 1)), alone)
    seen: list[dict[str, Tensor]] = []
    watch(again, seen)
    with again.log:
        learned = learn(again, next(iter(again.plan.steps(0))))
    assert learned.samples == 2
    assert learned.loss == pytest.approx(loss, rel=1e-5)
    assert_close({name: seen[0][name] for name in truth}, truth)


def test_a_step_without_samples_changes_nothing_and_is_counted(options: TrainingOptions, alone: Processes) -> None:
    keys = at_once(options, alone)[1].keys
    parts = assembled(replace(options, data=replace(options.data, leave_out=keys)), alone)
    before = {name: parameter.clone() for name, parameter in parts.trained.items()}
    turn = next(iter(parts.plan.steps(0)))
    with parts.log:
        learned = learn(parts, turn)
    parts.progress.advance(turn, learned.samples)
    assert (learned.samples, learned.loss, learned.gradient_norm) == (0, 0, 0)
    assert all(torch.equal(parameter, before[name]) for name, parameter in parts.trained.items())
    assert (parts.progress.step, parts.progress.position, parts.progress.learned, parts.progress.skipped) == (1, 4, 0, 4)


def test_gradients_are_clipped_to_the_norm(options: TrainingOptions, alone: Processes) -> None:
    parts = assembled(replace(options, optimizer=replace(NO_CLIP, clip=0.01)), alone)
    seen: list[dict[str, Tensor]] = []
    watch(parts, seen)
    with parts.log:
        learned = learn(parts, next(iter(parts.plan.steps(0))))
    assert learned.gradient_norm > 0.01
    assert torch.stack([gradient.square().sum() for gradient in seen[0].values()]).sum().sqrt().item() == pytest.approx(0.01, rel=1e-3)


def test_the_average_follows_and_the_rate_is_that_of_the_step(options: TrainingOptions, alone: Processes) -> None:
    parts = assembled(replace(options, optimizer=replace(NO_CLIP, average=0.75)), alone)
    name, parameter = next(iter(parts.trained.items()))
    before, rates, told = parameter.detach().clone(), [], []
    with parts.log:
        for turn, _ in zip(parts.plan.steps(0), range(3), strict=False):
            rates.append(parts.optimizer.param_groups[0]["lr"])
            told.append(learn(parts, turn).rate)
            before = 0.75 * before + 0.25 * parameter.detach()
    assert rates == told == pytest.approx([1e-3 / 5, 2e-3 / 5, 3e-3 / 5])
    assert parts.average is not None
    assert torch.allclose(parts.average.state_dict()[name], before, atol=1e-6)


def test_it_trains_to_the_last_step_and_saves(small_options: Make, alone: Processes, tmp_path: Path) -> None:
    parts = assembled(small_options(steps=7), alone)
    with parts.log:
        assert train(parts)
    assert parts.progress.step == 7
    assert [path.name for path in sorted((tmp_path / "out" / "checkpoints").glob("step-*"))] == ["step-00000007"]
    again = assembled(small_options(steps=7), alone)
    assert again.progress == parts.progress
    with again.log:
        assert train(again)  # there is nothing to do
    assert again.progress == parts.progress


def test_asked_to_stop_it_saves_after_the_step(small_options: Make, alone: Processes, tmp_path: Path) -> None:
    parts = assembled(small_options(), alone)
    parts.stop_asked = True
    with parts.log:
        assert not train(parts)
    assert parts.progress.step == 1
    assert (tmp_path / "out" / "checkpoints" / "step-00000001").is_dir()


def test_a_stop_does_not_wait_for_a_validation_which_is_made_up_for(small_options: Make, alone: Processes, tmp_path: Path) -> None:
    """Against a training that nobody stopped."""
    validation = ValidationOptions(share=0, characters=("character-3",), every=2, pictures=0)
    whole, cut = (replace(small_options(steps=3, validation=validation), out=str(tmp_path / name)) for name in ("whole", "cut"))
    with (parts := assembled(whole, alone)).log:
        assert train(parts)
    with (parts := assembled(cut, alone)).log:
        parts.log.advance = lambda step: setattr(parts, "stop_asked", step == 1)  # type: ignore[method-assign]  # asked during step 2
        assert not train(parts)
    assert parts.progress.step == 2
    assert validated(tmp_path / "cut") == []
    with (parts := assembled(cut, alone)).log:
        assert train(parts)
    assert validated(tmp_path / "cut") == validated(tmp_path / "whole")
    assert [line["step"] for line in validated(tmp_path / "cut")] == [2, 3]


def validated(out: Path) -> list[Line]:
    return [line for line in read(out / NAME) if line["kind"] == "validation"]


@pytest.mark.parametrize("stopped_after", [1, 3, 4])
def test_lines_are_means_over_the_same_steps_wherever_it_was_stopped(small_options: Make, alone: Processes, tmp_path: Path, stopped_after: int) -> None:
    options = small_options(steps=6, log=LogOptions(4, tensorboard=False))
    whole, cut = (replace(options, out=str(tmp_path / name)) for name in ("whole", "cut"))
    with (parts := assembled(whole, alone)).log:
        assert train(parts)
    with (parts := assembled(cut, alone)).log:
        parts.log.advance = lambda step: setattr(parts, "stop_asked", step == stopped_after - 1)  # type: ignore[method-assign]
        parts.stop_asked = stopped_after == 1
        assert not train(parts)
    with (parts := assembled(cut, alone)).log:
        assert train(parts)
    told = [[(line["step"], line["loss"], line["gradient_norm"], line["rate"]) for line in read(tmp_path / name / NAME)] for name in ("whole", "cut")]
    assert told[0] == told[1]
    assert [line[0] for line in told[0]] == [4, 6]
    assert told[0][1][3] == 0.1 * 1e-3  # the last step is taken at the cosine's end


def test_a_weight_that_is_no_number_ends_it_before_the_optimizer(small_options: Make, alone: Processes) -> None:
    parts = assembled(small_options(data=DataOptions(area=256, frames=9, workers=0)), alone)
    with torch.no_grad():
        parts.network.transformer.proj_out.bias.fill_(float("nan"))
    before = {name: parameter.clone() for name, parameter in parts.trained.items()}
    with parts.log, pytest.raises(TrainingError, match=r"step 1 \(epoch 1\): the loss is nan; the weights were not touched\. It came from clip-"):
        train(parts)
    assert all(torch.equal(parameter, before[name]) for name, parameter in parts.trained.items() if name != "transformer.proj_out.bias")
