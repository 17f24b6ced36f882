"""The loop. It reads like the algorithm; how samples are read, how work is laid out, what is told and how it is saved stand elsewhere."""

import math

import torch
import torch.distributed as dist
from torch import Tensor

from training.data.batches import Step, micro_batches
from training.data.sample import MicroBatch
from training.learned import Learned, Seen
from training.loss import velocity_losses
from training.not_finite import refuse
from training.parallel import gradients_summed_later, precise
from training.parts import Parts


def train(parts: Parts) -> bool:
    """Take steps until the last one, or until a signal asks for an end.

    Returns:
        Whether the training is finished.

    Raises:
        TrainingError: a loss or a gradient that is not finite, a sample that cannot be read, a checkpoint that cannot be written.
    """
    progress, options = parts.progress, parts.options
    if parts.validation_owed:
        parts.validate()
    for turn in parts.plan.steps(progress.position):
        if progress.step >= options.steps:
            return True
        learned = learn(parts, turn)
        progress.advance(turn, learned.samples)
        parts.tell(learned)
        if parts.checkpoint_due or learned.stop:
            parts.save()
        if learned.stop:  # a validation that is due is left to the resume: whoever asked may not wait for it
            return False
        if parts.validation_due:
            parts.validate()
        parts.checkpoints.poll()
    raise AssertionError("steps come without end")


def learn(parts: Parts, turn: Step) -> Learned:
    """One optimizer step.

    Each rank sums the losses of its samples; the gradient is that of their mean over all ranks, however many samples each rank had.
    """
    seen = Seen()
    count = len(micro_batches(turn, parts.processes.rank, parts.processes.ranks, parts.options.batch.micro))
    for number in range(1, count + 1):
        with parts.timer.part("data"):
            micro = next(parts.samples)
        with gradients_summed_later(parts.model, later=number < count):
            _accumulate(parts, micro, seen)
    with parts.timer.part("compute"):
        loss, samples, stop = _over_ranks(parts, seen)
        parameters = list(parts.trained.values())
        _scale_gradients(parameters, parts.processes.ranks / max(samples, 1))
        norm = _total(torch.nn.utils.clip_grad_norm_(parameters, parts.options.optimizer.clip, foreach=True))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            refuse(parts.processes, parts.progress.step + 1, turn.epoch + 1, seen, loss, norm)
        if samples:  # else all of them were skipped, and there is nothing to learn
            parts.optimizer.step()
        parts.optimizer.zero_grad()
        rate = float(parts.schedule.get_last_lr()[0])
        parts.schedule.step()
    if parts.average is not None:
        with parts.timer.part("average"):
            parts.average.update()
    parts.timer.step()
    parts.tell_skipped(seen.skipped)
    return Learned(loss, samples, norm, rate, stop)


def _accumulate(parts: Parts, micro: MicroBatch, seen: Seen) -> None:
    """Add the gradient of the summed losses of a micro-batch."""
    with parts.timer.part("encode"):
        batch = parts.conditioner(micro.samples)
    with parts.timer.part("compute"):
        with precise(parts.precision, parts.processes.device):
            losses = velocity_losses(parts.model, batch)
        (losses @ batch.weights).backward()
    parts.count(micro.samples, batch)
    seen.losses.append(losses.detach())
    seen.weights.append(batch.weights)
    seen.keys += batch.keys
    seen.skipped += micro.skipped


def _over_ranks(parts: Parts, seen: Seen) -> tuple[float, int, bool]:
    """The mean loss and the number of samples of all ranks, and whether one of them is to end: one message, and the one wait for the device in a step."""
    losses, weights = torch.cat(seen.losses).double(), torch.cat(seen.weights).double()
    sums = torch.stack([(losses * weights).sum(), weights.sum(), weights.new_tensor(float(parts.stop_asked))])
    if parts.processes.ranks > 1:
        dist.all_reduce(sums)
    loss, samples, stop = sums.tolist()
    return loss / max(samples, 1), round(samples), stop > 0


def _scale_gradients(parameters: list[torch.nn.Parameter], factor: float) -> None:
    torch._foreach_mul_([parameter.grad for parameter in parameters if parameter.grad is not None], factor)


def _total(norm: Tensor) -> float:
    """Of a norm that FSDP2 gives in parts."""
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
