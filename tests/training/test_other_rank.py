import pytest

from tests.training.on_ranks import on_ranks
from training.other_rank import ended_by_another_rank
from training.processes import Processes


def deserted() -> tuple[bool, str] | None:
    """The second rank leaves; what the first one gets."""
    with Processes.start("cpu") as processes:
        if not processes.main:
            return None
        try:
            while True:
                processes.any(True)
        except RuntimeError as error:
            return ended_by_another_rank(error), str(error)


def test_a_rank_that_is_left_alone_knows_it() -> None:
    found, _ = on_ranks(2, deserted)
    assert found is not None
    assert found[0], found[1]


def test_other_errors_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not ended_by_another_rank(RuntimeError("CUDA out of memory"))
    assert ended_by_another_rank(RuntimeError("[pair.cc:547] Connection closed by peer [127.0.0.1]:29500"))
    monkeypatch.delenv("WORLD_SIZE")
    assert not ended_by_another_rank(RuntimeError("Connection closed by peer"))
