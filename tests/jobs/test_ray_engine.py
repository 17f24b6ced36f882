"""What only workers can survive: dying, hanging, and dying again. And that they leave nothing behind."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from jobs.engine import EngineOptions, Outcome, SetupError, run_units
from jobs.ray_engine import _most_workers, connect, disconnect
from schemas.vocabulary import FailureKind
from tests.jobs.works import Square, Together, Unready, Word

OPTIONS = EngineOptions(engine="ray", workers=2)


def run(folder: Path, units: list[Word], options: EngineOptions = OPTIONS) -> dict[Word, Outcome[Word, int]]:
    return {outcome.unit: outcome for outcome in run_units(Square(str(folder)), units, options)}


def pids(folder: Path, word: str) -> list[int]:
    return [int(path.name.split("-")[-2]) for path in folder.glob(f"{word}-*")]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until_gone(numbers: list[int], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(alive(pid) for pid in numbers) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(alive(pid) for pid in numbers)


@pytest.mark.parametrize("word", ["exit", "segfault"])
def test_a_unit_that_kills_its_worker_is_tried_again_and_then_given_up(word: str, tmp_path: Path) -> None:
    outcomes = run(tmp_path, [1, word, 2, 3])
    assert [outcomes[unit].result for unit in (1, 2, 3)] == [1, 4, 9]
    error = outcomes[word].error
    assert error is not None
    assert error.kind is FailureKind.WORKER_DIED
    assert word in str(error)  # names the unit
    assert outcomes[word].attempts == OPTIONS.attempts == len(pids(tmp_path, f"unit-{word}"))
    assert len(set(pids(tmp_path, f"unit-{word}"))) == OPTIONS.attempts  # each time in a new process


def test_a_unit_that_killed_its_worker_once_succeeds_on_the_next(tmp_path: Path) -> None:
    (outcome,) = run(tmp_path, ["exit once"]).values()
    assert (outcome.error, outcome.attempts) == (None, 2)


def test_units_that_were_in_hand_when_a_worker_died_are_tried_again(tmp_path: Path) -> None:
    outcomes = list(run_units(Together(str(tmp_path)), [-1, 2, 3], EngineOptions(engine="ray", workers=1)))
    assert sorted((outcome.unit, outcome.result, outcome.attempts) for outcome in outcomes) == [(-1, -1, 2), (2, 2, 2), (3, 3, 2)]


def test_a_hung_unit_is_given_up_in_time_and_its_process_killed(tmp_path: Path) -> None:
    options = EngineOptions(engine="ray", workers=2, timeout_minutes=1.5 / 60)
    outcomes = run(tmp_path, ["hang", 1, 2, 3], options)
    assert [outcomes[unit].result for unit in (1, 2, 3)] == [1, 4, 9]
    error = outcomes["hang"].error
    assert error is not None
    assert error.kind is FailureKind.TIMED_OUT
    assert outcomes["hang"].attempts == 1
    assert outcomes["hang"].seconds > 1.4
    assert wait_until_gone(pids(tmp_path, "unit-hang"))


def test_a_worker_that_dies_in_its_setup_ends_the_job() -> None:
    with pytest.raises(SetupError, match="worker died 3 times while loading"):
        list(run_units(Unready(dies=True), range(10), OPTIONS))


def test_units_run_beside_one_another(tmp_path: Path) -> None:
    """Each unit ends only when another process has begun one, so one after the other none would."""
    outcomes = list(run_units(Square(str(tmp_path)), ["meet", "meet"], OPTIONS))
    assert [outcome.result for outcome in outcomes] == [2, 2]


def test_closing_the_iterator_kills_the_workers(tmp_path: Path) -> None:
    units: list[Word] = [1, "slow", "slow", "slow"]
    outcomes = run_units(Square(str(tmp_path)), units, OPTIONS)
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert wait_until_gone(pids(tmp_path, "setup"))


def test_workers_ask_for_less_than_all_cpus_so_that_others_run_too(tmp_path: Path) -> None:
    units: list[Word] = [1, 2, "slow", "slow", "slow", "slow"]
    outcomes = run_units(Square(str(tmp_path)), units, EngineOptions(engine="ray"))
    next(outcomes)
    beside = ray.remote(lambda: "ran").options(num_cpus=0.1).remote()
    assert ray.get(beside, timeout=20) == "ran"
    outcomes.close()  # type: ignore[attr-defined]


def test_threads_of_workers_are_capped() -> None:
    connect(OPTIONS)
    reads = ray.remote(lambda: [os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")])
    assert ray.get(reads.remote()) == ["1", "1", "1"]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a socket that is bound and does not listen, and no cluster that this process is connected to."""
    disconnect()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize("prefix", ["", "ray://"])
def test_an_address_where_nothing_answers_is_named_at_once(
    nowhere: str, prefix: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ray, "init", None)  # which would try for minutes
    with pytest.raises(SetupError, match=rf"no connection to the Ray cluster at {prefix}{nowhere} \(.*refused\); check --engine.address"):
        list(run_units(Square(), [1, 2], EngineOptions(address=prefix + nowhere)))
    assert capfd.readouterr().err == f"connecting to the Ray cluster at {prefix}{nowhere}\n"


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:port"])
def test_what_ray_says_of_an_address_is_passed_on(nowhere: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    del nowhere

    def refuse(**_: object) -> None:
        raise ConnectionError("no cluster found\nand more")

    monkeypatch.setattr(ray, "init", refuse)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SetupError, match=rf"at {address} \((no cluster found|Port could not be cast.*)\); check"):
        connect(EngineOptions(address=address))
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    yield
    disconnect()
    assert not ray.is_initialized()


@pytest.mark.parametrize(("gpus_per_worker", "workers"), [(0.0, 16), (1.0, 4), (0.5, 8), (8.0, 1)])
def test_workers_that_ask_for_gpus_are_as_many_as_these(monkeypatch: pytest.MonkeyPatch, gpus_per_worker: float, workers: int) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 16.0, "GPU": 4.0})
    assert _most_workers(EngineOptions(engine="ray", gpus_per_worker=gpus_per_worker)) == workers
