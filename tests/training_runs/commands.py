"""``python -m training`` in processes of their own, with their exit codes and what they told.

They are forked from a server that has imported torch, as importing takes longer than these trainings; ``typed`` starts them as a user does.
"""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

LONGEST = 240.0
"""Seconds, after which a training hangs."""
GRACE = 10.0
"""Seconds that the other ranks have when one has failed; then they are ended, as torchrun does."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["torch._dynamo", "torch.distributed.fsdp", "torch.distributed.checkpoint.state_dict", "scipy.stats", "training.run"])

Words = Sequence[object]


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        codes: exit codes, by rank; below 0 is a signal.
        told: what it printed, all ranks.
    """

    codes: tuple[int, ...]
    told: str

    @property
    def code(self) -> int:
        """Of a single rank, or of all of them alike."""
        (code,) = set(self.codes)
        return code


class Running:
    """A training in the background, on one or several ranks."""

    def __init__(self, words: Words, ranks: int, log: Path, spied: Path | None, before: Callable[[], object] | None) -> None:
        self._log = log
        several = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())} if ranks > 1 else {}
        self.processes: list[BaseProcess] = []
        for rank in range(ranks):
            environment = several | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if ranks > 1 else {})
            process = _context.Process(target=_rank, args=([str(word) for word in words], environment, str(log), spied, before))
            process.start()
            self.processes.append(process)

    def signal(self, number: signal.Signals, rank: int | None = None) -> None:
        """To a rank, or to all of them."""
        for process in self.processes if rank is None else [self.processes[rank]]:
            assert process.pid is not None
            os.kill(process.pid, number)

    def wait(self) -> Ended:
        """Until all ranks have ended."""
        deadline = time.monotonic() + LONGEST
        while any(process.is_alive() for process in self.processes):
            if any(process.exitcode for process in self.processes):  # one has failed: the others wait for it in vain
                deadline = min(deadline, time.monotonic() + GRACE)
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
            self.processes[0].join(0.02)
            for process in self.processes:
                process.join(0.01)
        return Ended(tuple(process.exitcode or 0 for process in self.processes), self._log.read_text())

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.join()


def start(*words: object, ranks: int = 1, spied: Path | None = None, before: Callable[[], object] | None = None) -> Running:
    """``python -m training WORDS`` on so many ranks.

    Args:
        words: arguments.
        ranks: processes, as torchrun would start them.
        spied: folder into which each rank writes the keys of its micro-batches, a line each.
        before: called in each process first; importable.
    """
    log = Path(_out(words)).with_suffix(f".{time.monotonic_ns()}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    return Running(words, ranks, log, spied, before)


def train(*words: object, ranks: int = 1, spied: Path | None = None, before: Callable[[], object] | None = None) -> Ended:
    """As ``start``, to the end."""
    with start(*words, ranks=ranks, spied=spied, before=before) as running:
        return running.wait()


def typed(*words: object, launcher: Words = ("-m",), environment: Mapping[str, str] | None = None) -> "subprocess.Popen[str]":
    """The command as a user types it, from a new Python; ``launcher`` is what stands before ``training``."""
    line = [sys.executable, *map(str, launcher), "training", *map(str, words)]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}, start_new_session=True)


def _rank(words: list[str], environment: Mapping[str, str], log: str, spied: Path | None, before: Callable[[], object] | None) -> None:
    os.setpgid(0, 0)
    os.environ.update(environment)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    import torch

    from training.__main__ import main

    torch.set_num_threads(1)
    if spied is not None:
        _spy(spied / f"rank-{environment.get('RANK', '0')}.txt")
    if before is not None:
        before()
    sys.exit(main(words))


def _spy(path: Path) -> None:
    """Write down the samples that count of each micro-batch, when it becomes a batch."""
    from training.conditioning import Conditioner

    make: Any = Conditioner.__call__

    def told(self: Any, samples: Any, *others: Any, **named: Any) -> Any:
        if not others and not named:  # a validation's have levels of their own
            with path.open("a") as file:
                file.write(" ".join(f"{sample.epoch}:{sample.key}" for sample in samples if sample.counted) + "\n")
        return make(self, samples, *others, **named)

    Conditioner.__call__ = told  # type: ignore[method-assign]


def _out(words: Words) -> str:
    return str(words[list(words).index("--out") + 1])


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
