"""Micro-batches, read and decoded by other processes while the trainer computes; they come in the order that they were asked for."""

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from model.errors import ModelInputError
from schemas.sample import SampleError
from training.data.dataset import ShardDataset
from training.data.places import Place
from training.data.sample import MicroBatch
from training.errors import TrainingError

OPEN_FILES = 65_536
"""As many as the system allows, up to this number."""

SENTENCES = (TrainingError, SampleError, ModelInputError)
"""Errors that are meant for people: they come out of a worker as they were raised in it, without its stack trace."""


def micro_batches(dataset: ShardDataset, places: Iterable[list[Place]], workers: int, prefetch: int) -> Iterator[MicroBatch]:
    """The micro-batches of these places, in their order, whatever the number of workers.

    Workers start with the first micro-batch that is asked for. They end with the iterator: when it is exhausted, closed or let go. An error comes when it is
    its micro-batch's turn. Nobody's random numbers change.

    Args:
        dataset: makes a micro-batch.
        places: one after another, perhaps without end; each list is a micro-batch.
        workers: processes; 0 reads in this one.
        prefetch: micro-batches that each worker has ready.

    Raises:
        TrainingError: a sample or shard cannot be read; a worker died.
    """
    if workers < 0 or prefetch < 1:
        raise TrainingError(f"--data.workers must be 0 or more and --data.prefetch 1 or more, not {workers} and {prefetch}")
    return _from_workers(dataset, places, workers, prefetch) if workers else map(dataset.__getitems__, places)


def _from_workers(dataset: ShardDataset, places: Iterable[list[Place]], workers: int, prefetch: int) -> Iterator[MicroBatch]:
    _allow_open_files()
    batches = _started(_Told(dataset), places, workers, prefetch)
    processes: list[BaseProcess] = list(batches._workers)
    try:
        while (batch := _next(batches, processes)) is not None:
            if isinstance(batch, Exception):
                raise batch
            yield batch
    finally:
        batches._shutdown_workers()
        for process in processes:
            if process.is_alive():  # it hangs in the file system, where no signal but this one is heard
                process.kill()
                process.join()


def _started(dataset: Dataset[Any], places: Iterable[list[Place]], workers: int, prefetch: int) -> Any:
    """Torch's own iterator over batches from workers.

    Workers are forked: a new Python would need seconds to start, and the index would be copied into each. They use no GPU and one thread.
    """
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch_sampler=places,
        num_workers=workers,
        prefetch_factor=prefetch,
        collate_fn=_as_it_is,
        worker_init_fn=_heed_the_trainer_alone,
        multiprocessing_context="fork",
        generator=torch.Generator(),  # else starting takes a number from the generator of everybody
    )
    return _with_signal_handler_kept(lambda: iter(loader))


def _next(batches: Any, processes: Sequence[BaseProcess]) -> Any:
    try:
        return next(batches, None)
    except (RuntimeError, OSError, EOFError) as error:  # it is missed, or what it has sent cannot be fetched from it any more
        ended = wait([process.sentinel for process in processes], timeout=1)
        if not ended:
            raise
        died = ", ".join(f"{process.pid} ({_end_of(process)})" for process in processes if process.sentinel in ended)
        raise TrainingError(
            f"a process that reads samples has died: {died}. If memory ran out, take fewer --data.workers or a smaller --data.prefetch; "
            "if shared memory did, give the container more of it (docker run --shm-size); then say the same command again"
        ) from error


def _end_of(process: BaseProcess) -> str:
    process.join()
    code = process.exitcode or 0
    return f"exit status {code}" if code >= 0 else signal.Signals(-code).name


class _Told(Dataset[Any]):
    """A dataset whose errors for people are handed over like its batches: torch would wrap them into its own words, and before their turn."""

    def __init__(self, dataset: ShardDataset) -> None:
        self._dataset = dataset

    def __getitems__(self, places: Sequence[Place]) -> MicroBatch | Exception:
        try:
            return self._dataset.__getitems__(places)
        except SENTENCES as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


def _heed_the_trainer_alone(worker: int) -> None:  # noqa: ARG001
    """Let signals to the whole group of processes end the trainer only, which then has its workers until its last checkpoint is written.

    A cluster that ends a job, and Ctrl-C, send their signal to every process. Only the trainer's own SIGTERM, at its end, is heard here.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(trainer: int) -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != trainer:
        pass
    os._exit(0)


def _with_signal_handler_kept(start: Callable[[], Any]) -> Any:
    """Torch's handler of SIGCHLD would raise wherever the trainer is when a worker dies; it is said when a batch is asked for, which is soon enough."""
    if threading.current_thread() is not threading.main_thread():
        return start()
    before = signal.getsignal(signal.SIGCHLD)
    try:
        return start()
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


def _allow_open_files() -> None:
    """Each tensor that is handed over is an open file, and systems allow few unless asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
