"""A training that was cut off goes on as if nothing had been: the same samples, losses and weights, on as many ranks or on others."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.training_runs import results
from tests.training_runs.commands import LONGEST, start, train, typed
from tests.training_runs.made_training import HELD_OUT, Made

STEPS = 60
ALL = ("--steps", STEPS, "--validation.characters", HELD_OUT, "--validation.every", 20, "--validation.pictures", 1)
"""With a validation, which is to change nothing."""
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture(scope="module")
def whole(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nobody cut off; its keys are in the folder ``keys``."""
    out = tmp_path_factory.mktemp("whole")
    (out / "keys").mkdir()
    assert train(*made.words(out, *ALL), spied=out / "keys").code == 0
    return out


def test_a_killed_training_goes_on_to_the_bit(made: Made, whole: Path, tmp_path: Path) -> None:
    """With the command as a user types it."""
    killed = typed(*made.words(tmp_path, *ALL, "--checkpoint.every", 30))
    until(lambda: results.last_step(tmp_path) >= 33 and results.newest_step(tmp_path) == 30)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    before = results.losses(tmp_path)
    assert 33 <= max(before) < STEPS, "it was to be killed on its way"

    resumed = typed(*made.words(tmp_path, *ALL, "--checkpoint.every", 30))
    told = resumed.communicate(timeout=LONGEST)[1]
    assert resumed.returncode == 0, told
    assert "going on after step 30" in told
    assert results.losses(tmp_path) == results.losses(whole)
    assert all(results.losses(whole)[step] == loss for step, loss in before.items())
    for kind in ("raw", "average"):
        assert results.same(results.weights(tmp_path, kind), results.weights(whole, kind))
    validated = [results.lines(out, "validation") for out in (tmp_path, whole)]
    assert validated[0] == validated[1]
    assert [line["step"] for line in validated[0]] == [20, 40, 60]


def test_killed_again_and_again(made: Made, whole: Path, tmp_path: Path) -> None:
    """Wherever it was, a checkpoint being written included; workers end with their trainer."""
    for after in (3, 21, 47):
        killed_after(after, made, tmp_path)
    assert train(*made.words(tmp_path, *ALL, "--checkpoint.every", 5)).code == 0
    assert results.losses(tmp_path) == results.losses(whole)
    assert results.same(results.weights(tmp_path), results.weights(whole))


def test_sigterm_saves_and_the_rest_is_exact(made: Made, whole: Path, tmp_path: Path) -> None:
    with start(*made.words(tmp_path, *ALL, "--checkpoint.every", 1000)) as running:
        until(lambda: results.last_step(tmp_path) >= 15)
        running.signal(signal.SIGTERM)
        ended = running.wait()
    assert ended.code == 130
    step = results.newest_step(tmp_path)
    assert 15 <= step == results.last_step(tmp_path) < STEPS
    assert "SIGTERM: saving after this step" in ended.told
    assert f"stopped after step {step} and saved; the same command goes on from there" in ended.told
    assert not (tmp_path / "model").exists()
    assert train(*made.words(tmp_path, *ALL, "--checkpoint.every", 1000)).code == 0
    assert results.losses(tmp_path) == results.losses(whole)
    assert results.same(results.weights(tmp_path, "average"), results.weights(whole, "average"))
    assert results.lines(tmp_path, "validation") == results.lines(whole, "validation"), "one that the stop did not wait for is made up for"


def test_two_ranks_then_one_then_two(made: Made, whole: Path, tmp_path: Path) -> None:
    words = made.words(tmp_path, *ALL, "--checkpoint.every", 10)
    spied = [tmp_path / f"keys-{number}" for number in range(3)]
    for folder in spied:
        folder.mkdir()
    with start(*words, ranks=2, spied=spied[0]) as running:
        until(lambda: results.last_step(tmp_path) >= 12)
        running.signal(signal.SIGTERM, rank=1)  # the others hear of it
        assert running.wait().code == 130
    first = results.newest_step(tmp_path)
    with start(*words, spied=spied[1]) as running:
        until(lambda: results.newest_step(tmp_path) == 30)
        running.signal(signal.SIGKILL)
        running.wait()
    assert train(*words, ranks=2, spied=spied[2]).code == 0

    wanted = results.keys(whole / "keys")
    assert 12 <= first < 30
    assert results.keys(spied[0])[:first] == wanted[:first]
    assert results.keys(spied[1])[: 30 - first] == wanted[first:30]
    assert results.keys(spied[2]) == wanted[30:]
    assert results.positions(tmp_path) == results.positions(whole)
    difference = results.relative_difference(results.losses(whole), results.losses(tmp_path))
    print(f"2 ranks, 1, 2: losses differ by {difference:.1e} at most")
    assert difference < 1e-5


def test_torchrun_is_told_to_stop(made: Made, whole: Path, tmp_path: Path) -> None:
    """The whole launcher, as a cluster ends it; then one rank goes on."""
    launched = typed(*made.words(tmp_path, *ALL, "--checkpoint.every", 1000), launcher=TORCHRUN)
    until(lambda: results.last_step(tmp_path) >= 5 or launched.poll() is not None)
    launched.send_signal(signal.SIGTERM)
    told = launched.communicate(timeout=LONGEST)[1]
    step = results.newest_step(tmp_path)
    assert step >= 5, told
    assert f"stopped after step {step} and saved" in told
    assert train(*made.words(tmp_path, *ALL, "--checkpoint.every", 1000)).code == 0
    assert results.relative_difference(results.losses(whole), results.losses(tmp_path)) < 1e-5


def killed_after(step: int, made: Made, out: Path) -> None:
    with start(*made.words(out, *ALL, "--checkpoint.every", 5)) as running:
        until(lambda: results.last_step(out) >= step)
        running.signal(signal.SIGKILL)
        assert running.wait().code == -signal.SIGKILL
        group = running.processes[0].pid
        assert group is not None
        until(lambda: not alive(group))


def alive(group: int) -> bool:
    """Whether a process of the group still runs."""
    listed = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True, check=False).stdout.split()
    return any(not status.startswith("Z") for status in listed)
