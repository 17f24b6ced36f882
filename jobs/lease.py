"""One job at a time on an output root: ``.lease.json`` names who writes there, and a thread renews it as long as the job lives.

Two jobs on one root would remove each other's half-written files. A lease is over when its process is gone: on this machine that is seen
at once, so that a killed job is started again without waiting; elsewhere when nothing was heard of it for SILENCE seconds (machines whose
clocks differ by minutes should not share an output root).

Storage of most kinds knows no lock. Whoever wants the root writes his lease, waits, and reads which of several was written last.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from jobs.engine import SetupError
from pipeline import storage
from pipeline.failures import InputError

FILE = ".lease.json"
RENEWAL = 20.0
"""Seconds from one sign of life to the next."""
SILENCE = 120.0
"""Seconds without a sign of life after which a lease is over."""
SETTLING = 0.25
"""Seconds in which two that start at the same time see each other."""


class LeaseError(SetupError):
    """Another job writes into the output root."""


@dataclass(frozen=True)
class Lease:
    """Who writes.

    Attributes:
        run_id: of the job.
        host: its machine, for people.
        machine: what its pid is a pid of: machine since its last start, and container.
        pid: its process.
        command: what it does.
        since: seconds since the epoch at which it started.
        heartbeat: seconds since the epoch of its last sign of life.
    """

    run_id: str
    host: str
    machine: str
    pid: int
    command: str
    since: float
    heartbeat: float

    def is_over(self, now: float) -> bool:
        """Whether its process is gone, as far as can be told from here."""
        return now - self.heartbeat > SILENCE or (self.machine == machine() and not _is_alive(self.pid))


@contextmanager
def leased(out: str, command: str, renewal: float = RENEWAL) -> Iterator[None]:
    """Hold the lease of an output root.

    Args:
        out: the output root.
        command: what for.
        renewal: seconds between signs of life.

    Raises:
        LeaseError: another job holds it, or has taken it over because nothing was heard of this one.
        InputError: the output root cannot be read or written.
    """
    uri = storage.join(out, FILE)
    own = _take(uri, command)
    ended, lost = threading.Event(), threading.Event()
    renewing = threading.Thread(target=_renew, args=(uri, own, renewal, ended, lost), name="lease", daemon=True)
    renewing.start()
    try:
        yield
    except KeyboardInterrupt:
        if lost.is_set():
            raise LeaseError(f"{out} was taken over by another job because nothing was heard of this one for {SILENCE:.0f} s: this one stops") from None
        raise
    finally:
        ended.set()
        renewing.join()
        with suppress(InputError):  # falls silent, then
            held = _read(uri)
            if held is not None and held.run_id == own.run_id:
                storage.remove(uri)


def machine() -> str:
    """What a pid of this process's is a pid of; pids of other machines and containers mean other processes."""
    parts = [socket.gethostname()]
    with suppress(OSError):  # not Linux
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), str(Path("/proc/self/ns/pid").readlink())]
    return " ".join(parts)


def _take(uri: str, command: str) -> Lease:
    now = time.time()
    held = _read(uri)
    if held is not None and not held.is_over(now):
        raise LeaseError(_held_by(uri, held, now))
    own = Lease(uuid4().hex, socket.gethostname(), machine(), os.getpid(), command, now, now)
    _write(uri, own)
    time.sleep(SETTLING)
    held = _read(uri)
    if held is not None and held.run_id != own.run_id:
        raise LeaseError(_held_by(uri, held, now))
    return own


def _renew(uri: str, own: Lease, renewal: float, ended: threading.Event, lost: threading.Event) -> None:
    while not ended.wait(renewal):
        try:
            held = _read(uri)
            if held is not None and held.run_id != own.run_id:
                lost.set()
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)  # a job in the background may ignore SIGINT
                return
            _write(uri, replace(own, heartbeat=time.time()))
        except InputError:  # the storage may answer next time; the work finds out for itself when it does not
            continue


def _read(uri: str) -> Lease | None:
    """The lease; None when there is none, or something that is none."""
    if not storage.exists(uri):
        return None
    try:
        return Lease(**json.loads(storage.read_bytes(uri)))
    except (ValueError, TypeError):
        return None


def _write(uri: str, lease: Lease) -> None:
    storage.write_atomic(uri, (json.dumps(asdict(lease), indent=2) + "\n").encode())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return True


def _held_by(uri: str, held: Lease, now: float) -> str:
    since = datetime.fromtimestamp(held.since, UTC).isoformat(sep=" ", timespec="seconds")
    return (
        f"{uri.removesuffix(FILE).rstrip('/')} is being written by another job: {held.command}, process {held.pid} on {held.host} since {since}, "
        f"last heard of {max(0.0, now - held.heartbeat):.0f} s ago. Wait until it has ended, stop it, or give another --out; "
        f"should it be dead, its lease ends {SILENCE:.0f} s after it was last heard of"
    )
