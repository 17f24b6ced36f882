"""Both executions of the engine: the same outcomes, errors typed and per unit, nothing started for nothing."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.engine import EngineOptions, Outcome, SetupError, chosen_engine, run_here, run_units
from schemas.vocabulary import FailureKind
from tests.jobs.works import Square, Together, Unready, Word

BOTH = pytest.mark.parametrize("options", [EngineOptions(engine="local"), EngineOptions(engine="ray", workers=2)], ids=["local", "ray"])


def words(folder: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in folder.iterdir())


@BOTH
def test_every_unit_has_one_outcome(options: EngineOptions) -> None:
    outcomes = list(run_units(Square(), range(50), options))
    assert sorted((outcome.unit, outcome.result, outcome.attempts) for outcome in outcomes) == [(unit, unit * unit, 1) for unit in range(50)]


@BOTH
def test_an_exception_is_a_typed_outcome_and_leaves_the_others_alone(options: EngineOptions) -> None:
    units: list[Word] = [1, "damaged", 2, "bug", 3]
    outcomes = {outcome.unit: outcome for outcome in run_units(Square(), units, options)}
    assert [outcomes[unit].result for unit in (1, 2, 3)] == [1, 4, 9]
    damaged, bug = outcomes["damaged"].error, outcomes["bug"].error
    assert damaged is not None
    assert (damaged.kind, str(damaged)) == (FailureKind.DAMAGED, "a.mp4 ends early")
    assert bug is not None
    assert bug.kind is FailureKind.BUG
    assert "IndexError" in str(bug)
    assert "works.py" in str(bug)  # says where


@BOTH
def test_setup_and_close_are_called_once_per_worker(options: EngineOptions, tmp_path: Path) -> None:
    list(run_units(Square(str(tmp_path)), range(20), options))
    workers = options.workers or 1
    assert words(tmp_path).count("unit") == 20
    assert 1 <= words(tmp_path).count("setup") <= workers
    assert words(tmp_path).count("close") == words(tmp_path).count("setup")


@pytest.mark.parametrize("options", [EngineOptions(engine="local"), EngineOptions(engine="ray", workers=1)], ids=["local", "ray"])
def test_work_that_waits_has_several_units_in_hand(options: EngineOptions, tmp_path: Path) -> None:
    outcomes = list(run_units(Together(str(tmp_path)), range(9), options))
    assert sorted((outcome.unit, outcome.result, outcome.attempts) for outcome in outcomes) == [(unit, unit, 1) for unit in range(9)]


def test_closing_the_iterator_lets_go_of_the_units_in_hand(tmp_path: Path) -> None:
    outcomes = run_here(Together(str(tmp_path)), iter(range(5)))  # after three that meet, two are left waiting for a third
    for _ in range(3):
        next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]


@BOTH
def test_a_setup_that_fails_ends_the_job_with_one_clear_message(options: EngineOptions) -> None:
    outcomes: list[Outcome[int, int]] = []
    with pytest.raises(SetupError, match=r"unready cannot start: weights missing: run .*assets fetch"):
        outcomes.extend(run_units(Unready(), range(10), options))
    assert outcomes == []


@BOTH
def test_units_are_taken_as_they_are_needed(options: EngineOptions) -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        for unit in iter(int, 1):
            taken.append(unit)
            yield unit

    outcomes = run_units(Square(), endless(), options)
    for _ in range(5):
        assert next(outcomes).result == 0
    outcomes.close()  # type: ignore[attr-defined]
    assert len(taken) <= 5 + 2 * 2 + 2  # in hand, at hand, and looked at to choose the engine


def test_the_work_is_closed_when_the_caller_stops_early(tmp_path: Path) -> None:
    outcomes = run_here(Square(str(tmp_path)), iter(range(10)))
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert words(tmp_path) == ["close", "setup", "unit"]


@pytest.mark.parametrize(
    ("options", "address", "units", "chosen"),
    [
        (EngineOptions(), None, 1, "local"),
        (EngineOptions(workers=2), None, 2, "ray"),
        (EngineOptions(workers=1), None, 2, "local"),
        (EngineOptions(workers=1), "10.0.0.1:6379", 1, "ray"),
        (EngineOptions(address="10.0.0.1:6379"), None, 1, "ray"),
        (EngineOptions(engine="local"), "10.0.0.1:6379", 2, "local"),
    ],
)
def test_what_auto_means(monkeypatch: pytest.MonkeyPatch, options: EngineOptions, address: str | None, units: int, chosen: str) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if address:
        monkeypatch.setenv("RAY_ADDRESS", address)
    assert chosen_engine(options, units) == chosen


def test_no_units_start_nothing_and_a_local_run_never_imports_ray() -> None:
    program = """
import sys
from jobs.engine import EngineOptions, run_units
from tests.jobs.works import Square, Unready, Word
assert list(run_units(Unready(), [], EngineOptions(engine="ray"))) == []
assert [outcome.result for outcome in run_units(Square(), [2, 3], EngineOptions(engine="local"))] == [4, 9]
sys.exit("ray was imported" if "ray" in sys.modules else 0)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2], timeout=60)


@pytest.mark.parametrize("wrong", [{"workers": -1}, {"attempts": 0}, {"cpus_per_worker": 0.0}, {"timeout_minutes": -1.0}])
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="engine"):
        EngineOptions(**wrong)  # type: ignore[arg-type]
