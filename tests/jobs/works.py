"""Works for tests of the engine: quick, and able to fail in every way a real one does."""

import ctypes
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.failures import InputError
from schemas.vocabulary import FailureKind

Word = int | str
"""A unit of Square."""


@dataclass(frozen=True)
class Square:
    """Squares numbers; the word of a unit says what happens instead."""

    folder: str = ""
    """where calls of setup and close, and attempts, leave a file each"""
    name: str = "square"
    units_at_once: int = 1

    def setup(self) -> None:
        self._note("setup")

    def __call__(self, unit: Word) -> int:
        self._note(f"unit-{unit}")
        match unit:
            case int():
                return unit * unit
            case "damaged":
                raise InputError(FailureKind.DAMAGED, "a.mp4 ends early")
            case "bug":
                return [0][1]
            case "exit":
                os._exit(7)
            case "segfault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit once" if sum(name.startswith("unit-exit once") for name in os.listdir(self.folder)) == 1:  # noqa: PTH208 - names only
                os._exit(7)
            case "hang":
                ctypes.PyDLL(None).sleep(1000)  # holds the interpreter lock, as a decoder's deadlock does
            case "slow":
                time.sleep(1.0)
            case "meet":
                return self._meet()
        return -1

    def close(self) -> None:
        self._note("close")

    def _meet(self) -> int:
        """The number of processes that had begun a unit of this word before this one ended: waits for a second one."""
        deadline = time.monotonic() + 60
        while True:
            begun = {path.name.split("-")[2] for path in Path(self.folder).glob("unit-meet-*")}
            if len(begun) > 1 or time.monotonic() > deadline:
                return len(begun)
            time.sleep(0.01)

    def _note(self, word: str) -> None:
        if self.folder:
            (Path(self.folder) / f"{word}-{os.getpid()}-{time.monotonic_ns()}").touch()


@dataclass(frozen=True)
class Unready:
    """Its setup fails: with an error, or by dying."""

    dies: bool = False
    name: str = "unready"
    units_at_once: int = 1

    def setup(self) -> None:
        if self.dies:
            os._exit(9)
        raise InputError(FailureKind.NOT_FOUND, "weights missing: run `python -m jobs assets fetch`")

    def __call__(self, unit: int) -> int:
        return unit

    def close(self) -> None:
        pass


@dataclass
class Together:
    """Its units, numbers, end only when as many as it can have in hand are in one worker's hands; one that is negative ends the worker, once."""

    folder: str
    units_at_once: int = 3
    name: str = "together"

    def setup(self) -> None:
        self._barrier = threading.Barrier(self.units_at_once)

    def __call__(self, unit: int) -> int:
        died = Path(self.folder) / "died"
        if unit < 0 and not died.exists():
            while self._barrier.n_waiting < self.units_at_once - 1:
                time.sleep(0.01)
            died.touch()
            os._exit(7)
        self._barrier.wait(60)
        return unit

    def close(self) -> None:
        self._barrier.abort()
