"""A training from its options: everything is read, checked and put together, then the loop runs."""

from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from torch.optim.lr_scheduler import LambdaLR

from model.checkpoint import INDEX, Checkpoint
from model.device_peak import measured_flops, peak_flops
from model.flow import SigmaDistribution
from model.generate.denoise import Guidance
from model.positions import Positions
from training.check_options import check_options
from training.checkpoint_folder import read_about
from training.checkpoints import Checkpoints
from training.conditioning import Conditioner
from training.data.batches import BatchPlan, micro_batches
from training.data.dataset import ShardDataset
from training.data.index import read_index
from training.data.loader import micro_batches as read_micro_batches
from training.data.places import Place
from training.data.reader import ShardReader
from training.data.selection import Selection, select
from training.data.shard_cache import DEFAULT_FOLDER, ShardCache
from training.ema import MovingAverage
from training.errors import TrainingError
from training.export import has_averages, saved, trained_checkpoint
from training.finished_model import export_finished
from training.log import TrainingLog
from training.loop import train
from training.loss_curve import NAME as LOSS_CURVE
from training.loss_curve import draw_loss_curve
from training.meters import StepTimer, Throughput, trained_share
from training.metrics import NAME as METRICS
from training.network import TrainedNetwork
from training.optimizer import optimizer_of, rate_at
from training.options import LossOptions, TrainingOptions
from training.parallel import parallelise, precision_of
from training.parts import Parts, Progress
from training.processes import Processes
from training.signals import signals_heard
from training.snapshot import SNAPSHOT, check_snapshot, check_start, fingerprints, update_snapshot, write_snapshot
from training.stages import freeze_others, trained_parameters
from training.state import TrainingState
from training.validation import as_held_out, chosen_rows, noise_levels
from training.validator import Validator

GIGABYTE = 1_000_000_000


def run(options: TrainingOptions, console: Console, positions: Positions | None = None) -> bool:
    """Train, or go on with a training.

    Args:
        options: of the training.
        console: for people.
        positions: where anchors stand, when not where the checkpoint says: to compare them.

    Returns:
        whether it is finished; else a signal ended it, and it is saved.

    Raises:
        TrainingError, ModelInputError, SampleError: something does not fit or went wrong; the message says what and what to do.
    """
    check_options(options)
    if options.parallel.threads is not None:
        torch.set_num_threads(options.parallel.threads)
    with Processes.start(options.parallel.device) as processes:
        parts = assemble(options, processes, console, positions)
        with parts.log, signals_heard(parts):
            parts.introduce()
            parts.timer.read()  # what was read and put together until here is no part of a step
            with parts.checkpoints:
                finished = train(parts)
            if processes.main:
                draw_loss_curve(parts.out / METRICS, parts.out / LOSS_CURVE)
            if finished and processes.main:
                export_finished(parts)
            elif not finished:
                parts.log.say(f"stopped after step {parts.progress.step:,} and saved; the same command goes on from there")
        return finished


def assemble(options: TrainingOptions, processes: Processes, console: Console, positions: Positions | None = None) -> Parts:
    """Read and check everything; where the folder has a checkpoint, take it up.

    Raises:
        TrainingError, ModelInputError: something does not fit.
    """
    out, precision = Path(options.out), precision_of(options.parallel, processes.device)
    checkpoints = Checkpoints(out, options.checkpoint.keep, processes)
    newest = checkpoints.newest()
    index = read_index(options.shards)
    if newest is not None:
        check_snapshot(out, options, index.fingerprint)
        refuse_fewer_steps(newest, options)
    checkpoint = start_from(Path(options.from_checkpoint))
    selection = select(index, options.data, options.validation, checkpoint)
    start = processes.from_main(fingerprints(checkpoint, selection.geometry.area) if processes.main else None)
    if newest is not None:
        check_start(out, options, start)
    sigmas = noise_distribution(options.loss, checkpoint)
    plan = BatchPlan(index.shard, selection.bucket, selection.trained, options.seed, options.batch.size, options.data.block_shards, options.data.short_batches)
    reader = ShardReader(index, ShardCache(Path(options.data.cache or DEFAULT_FOLDER).expanduser(), int(options.data.cache_gigabytes * GIGABYTE)))
    dataset = dataset_of(options, selection, reader, sigmas)

    network = TrainedNetwork.of(checkpoint).to(processes.device).train()
    freeze_others(network, options.trained)
    model = parallelise(network, options.parallel, processes)
    trained = trained_parameters(network)
    optimizer = optimizer_of(trained, options.optimizer)
    schedule = LambdaLR(optimizer, lambda step: rate_at(step, options.steps, options.optimizer))
    average = MovingAverage(trained, options.optimizer.average, network) if options.optimizer.average else None
    state, progress = TrainingState(network, optimizer, schedule, average, processes), Progress()
    if newest is not None:
        progress = resumed(checkpoints, newest, state)
    if processes.main:
        if newest is None:
            write_snapshot(out, options, index.fingerprint, start)
        else:
            update_snapshot(out, options)

    conditioner = Conditioner(checkpoint, processes.device, precision, positions)
    log = TrainingLog(out, options, processes, None if newest is None else progress.step, console)
    return Parts(
        options=options,
        out=out,
        processes=processes,
        precision=precision,
        network=network,
        model=model,
        trained=trained,
        optimizer=optimizer,
        schedule=schedule,
        average=average,
        conditioner=conditioner,
        selection=selection,
        plan=plan,
        samples=read_micro_batches(dataset, places(plan, options, processes, progress.position), options.data.workers, options.data.prefetch),
        checkpoints=checkpoints,
        state=state,
        validator=validator_of(options, selection, reader, sigmas, conditioner, processes, precision, log),
        log=log,
        timer=StepTimer(processes.device),
        throughput=Throughput(processes, device_peak(processes.device, precision), trained_share(network.transformer)),
        progress=progress,
    )


def start_from(folder: Path) -> Checkpoint:
    """The checkpoint that a training starts from, in float32: a folder in diffusers' layout, or the newest averaged weights of another training.

    Raises:
        TrainingError, ModelInputError: it is neither, or not whole.
    """
    if not (folder / INDEX).is_file() and (folder / SNAPSHOT).is_file():
        checkpoint = trained_checkpoint(folder, weights="average" if has_averages(saved(folder)) else "raw")
        checkpoint.transformer.float()
        return checkpoint
    return Checkpoint.load(folder)


def noise_distribution(options: LossOptions, checkpoint: Checkpoint) -> SigmaDistribution:
    """Which noise levels are trained.

    Raises:
        TrainingError: numbers that make no distribution.
    """
    shift = checkpoint.sampling.shift if options.sigma_shift is None else options.sigma_shift
    try:
        return SigmaDistribution(options.sigma, options.sigma_mean, options.sigma_deviation, shift)
    except ValueError as error:
        raise TrainingError(f"--loss.sigma…: {error}") from error


def dataset_of(options: TrainingOptions, selection: Selection, reader: ShardReader, sigmas: SigmaDistribution) -> ShardDataset:
    """Samples, read and drawn for as the options say."""
    return ShardDataset(
        selection.index,
        reader,
        selection.geometry,
        options.data,
        options.superset,
        options.augment,
        options.loss,
        options.seed,
        sigmas,
        selection.use_latents,
    )


def validator_of(
    options: TrainingOptions,
    selection: Selection,
    reader: ShardReader,
    sigmas: SigmaDistribution,
    conditioner: Conditioner,
    processes: Processes,
    precision: torch.dtype,
    log: TrainingLog,
) -> Validator | None:
    """Looks at what is held out; where nothing is, at a few samples of the training, to be drawn; None when nothing is to be looked at."""
    held_out = len(selection.validated) > 0
    most = options.validation.most_samples if held_out else options.validation.pictures
    if not most:
        return None
    rows = chosen_rows(selection.index.keys.tolist(), (selection.validated if held_out else selection.trained).tolist(), most)
    checkpoint = conditioner.checkpoint
    return Validator(
        dataset=dataset_of(as_held_out(options), selection, reader, sigmas),
        rows=rows,
        held_out=held_out,
        levels=noise_levels(sigmas, options.validation.quantiles),
        pictures=options.validation.pictures,
        sampling=checkpoint.sampling,
        guidance=Guidance(checkpoint.usage.guidance if options.loss.drop_text else 1.0),
        workers=options.data.workers,
        conditioner=conditioner,
        processes=processes,
        precision=precision,
        log=log,
        out=Path(options.out),
    )


def refuse_fewer_steps(newest: Path, options: TrainingOptions) -> None:
    """A training cannot go back.

    Raises:
        TrainingError: more steps are done than are asked for.
    """
    done = read_about(newest)["step"]
    if done > options.steps:
        raise TrainingError(
            f"--steps {options.steps}: the training in {options.out} has done {done} already; give {done} or more, or write its weights after an earlier step "
            f"that is saved with: python -m training export --out {options.out} --step …"
        )


def resumed(checkpoints: Checkpoints, newest: Path, state: TrainingState) -> Progress:
    """Where a training stands whose checkpoint was taken up."""
    found = state.capture({})
    checkpoints.load(newest, found)
    return Progress(**state.restore(found))


def places(plan: BatchPlan, options: TrainingOptions, processes: Processes, position: int) -> Iterator[list[Place]]:
    """Micro-batches of a rank from a position on, without end."""
    for turn in plan.steps(position):
        yield from micro_batches(turn, processes.rank, processes.ranks, options.batch.micro)


def device_peak(device: torch.device, precision: torch.dtype) -> float:
    """Operations per second that the device can do: by its maker, or measured where nobody says."""
    known = peak_flops(torch.cuda.get_device_name(device), precision) if device.type == "cuda" else None
    return known or measured_flops(device, precision)
