"""Only one job writes: a second one is told who does, one that is gone is succeeded, one that was given up stops."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType

import pytest

from jobs import lease
from jobs.lease import FILE, SILENCE, Lease, LeaseError, leased, machine


def held(out: Path) -> Lease:
    return Lease(**json.loads((out / FILE).read_text()))


def put(out: Path, **changes: object) -> Lease:
    """The lease of a job on another machine that is alive."""
    now = time.time()
    found = replace(Lease("other", "far", "far boot container", 4711, "run", now - 60, now), **changes)  # type: ignore[arg-type]
    (out / FILE).write_text(json.dumps(asdict(found)))
    return found


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def test_it_is_there_as_long_as_the_job_and_names_it(tmp_path: Path) -> None:
    with leased(str(tmp_path), "select"):
        found = held(tmp_path)
        assert (found.pid, found.command, found.machine) == (os.getpid(), "select", machine())
        assert abs(found.heartbeat - time.time()) < 5
    assert list(tmp_path.iterdir()) == []


def test_it_is_given_back_when_the_job_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), leased(str(tmp_path), "select"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_second_job_is_told_who_writes_and_leaves_the_lease_alone(tmp_path: Path) -> None:
    with leased(str(tmp_path), "observe"):
        before = (tmp_path / FILE).read_bytes()
        with pytest.raises(LeaseError, match=rf"observe, process {os.getpid()} on .* since 20\d\d-.*another --out"), leased(str(tmp_path), "select"):
            raise AssertionError("two jobs write")
        assert (tmp_path / FILE).read_bytes() == before


def test_a_process_that_was_killed_on_this_machine_is_succeeded_at_once(tmp_path: Path) -> None:
    with sleeper() as process:
        put(tmp_path, machine=machine(), pid=process.pid)
        with pytest.raises(LeaseError), leased(str(tmp_path), "run"):
            raise AssertionError("two jobs write")
        process.send_signal(signal.SIGKILL)
        process.wait()
        with leased(str(tmp_path), "run"):
            assert held(tmp_path).pid == os.getpid()


@pytest.mark.parametrize(("seconds", "is_over"), [(0.0, False), (SILENCE - 10, False), (SILENCE + 10, True)])
def test_elsewhere_silence_decides(tmp_path: Path, seconds: float, is_over: bool) -> None:
    with sleeper() as process:
        process.kill()
        process.wait()
        now = time.time()
        assert put(tmp_path, pid=process.pid, heartbeat=now - seconds).is_over(now) is is_over


def test_it_is_renewed_while_the_job_works(tmp_path: Path) -> None:
    with leased(str(tmp_path), "run", renewal=0.05):
        first, deadline = held(tmp_path), time.monotonic() + 10
        while held(tmp_path).heartbeat == first.heartbeat:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert (held(tmp_path).run_id, held(tmp_path).since) == (first.run_id, first.since)


@pytest.fixture
def terminable() -> Iterator[None]:
    """SIGTERM stops a job as the command line has it."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("terminable")
def test_a_job_that_was_given_up_stops_and_leaves_the_lease_to_its_successor(tmp_path: Path) -> None:
    def work() -> None:
        with leased(str(tmp_path), "run", renewal=0.05):
            put(tmp_path)
            time.sleep(10)

    with pytest.raises(LeaseError, match="taken over"):
        work()
    assert held(tmp_path).run_id == "other"


def test_of_two_that_start_at_the_same_time_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_looked = threading.Barrier(2)
    write = lease._write

    def write_together(uri: str, own: Lease) -> None:
        both_have_looked.wait(10)
        write(uri, own)

    monkeypatch.setattr(lease, "_write", write_together)
    outcomes: list[str] = []

    def job() -> None:
        try:
            with leased(str(tmp_path), "run"):
                outcomes.append("wrote")
                time.sleep(0.5)
        except LeaseError:
            outcomes.append("refused")

    threads = [threading.Thread(target=job) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "wrote"]


def test_what_is_no_lease_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with leased(str(tmp_path), "run"):
        assert held(tmp_path).command == "run"
