"""However the work is laid onto ranks, micro-batches and kernels, what is learned stays the same but for rounding."""

import shutil
from pathlib import Path

import pytest

from tests.training_runs import results
from tests.training_runs.commands import train
from tests.training_runs.made_training import Made

EQUAL = 1e-5
FSDP, DDP = ("--parallel.strategy", "fsdp"), ("--parallel.strategy", "ddp")


@pytest.fixture(scope="module")
def plain(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One rank, one micro-batch a step, 20 steps: full batches and, at the ends of epochs, short ones of a single sample."""
    out = tmp_path_factory.mktemp("plain")
    (out / "keys").mkdir()
    assert train(*made.words(out), spied=out / "keys").code == 0
    assert {len(step) for step in results.keys(out / "keys")} == {1, 4}
    return out


def assert_equal(one: Path, other: Path, name: str, weights: float = EQUAL, losses: float = EQUAL) -> None:
    found = results.relative_difference(results.losses(one), results.losses(other))
    off = [results.largest_difference(results.weights(one, kind), results.weights(other, kind)) for kind in ("raw", "average")]
    print(f"{name}: losses differ by {found:.1e} (relative), weights by {off[0]:.1e}, their averages by {off[1]:.1e}")
    assert found < losses
    assert max(off) < weights


@pytest.mark.parametrize("strategy", [FSDP, DDP], ids=["fsdp", "ddp"])
def test_two_ranks_equal_one(strategy: tuple[str, str], made: Made, plain: Path, tmp_path: Path) -> None:
    """Short batches of one sample leave the second rank with a stand-in."""
    (tmp_path / "keys").mkdir()
    assert train(*made.words(tmp_path, *strategy), ranks=2, spied=tmp_path / "keys").code == 0
    assert results.keys(tmp_path / "keys") == results.keys(plain / "keys")
    assert_equal(plain, tmp_path, f"{strategy[1]} on two ranks")


def test_three_ranks_of_a_batch_that_does_not_divide(made: Made, plain: Path, tmp_path: Path) -> None:
    """A share of two and two of one, in micro-batches of one: two ranks compute stand-ins in every step."""
    assert train(*made.words(tmp_path, *FSDP, "--batch.micro", 1), ranks=3).code == 0
    assert_equal(plain, tmp_path, "fsdp on three ranks")


@pytest.mark.parametrize(("micro", "ranks"), [(1, 1), (2, 1), (3, 1), (1, 2)])
def test_accumulated_gradients_equal_those_of_the_larger_batch(micro: int, ranks: int, made: Made, plain: Path, tmp_path: Path) -> None:
    """On two ranks by DDP, which exchanges them with the last micro-batch."""
    assert train(*made.words(tmp_path, *(DDP if ranks > 1 else ()), "--batch.micro", micro), ranks=ranks).code == 0
    assert_equal(plain, tmp_path, f"micro-batches of {micro} on {ranks} rank(s)")


def test_gradient_checkpointing_changes_nothing(made: Made, plain: Path, tmp_path: Path) -> None:
    assert train(*made.words(tmp_path, "--parallel.gradient-checkpointing")).code == 0
    assert_equal(plain, tmp_path, "gradient checkpointing")


def test_compiled_blocks_learn_the_same(made: Made, tmp_path: Path) -> None:
    """With as many anchors in each batch and no short ones: each other kind is compiled anew, which takes a CPU half a minute."""
    if shutil.which("g++") is None:
        pytest.fail("torch.compile needs a C++ compiler on a CPU: apt-get install g++")
    alike = ("--steps", 10, "--batch.size", 3, "--batch.micro", 3, "--superset.count-weights", 0, 0, 1, "--loss.drop-anchors", 0)
    assert train(*made.words(tmp_path / "eager", *alike)).code == 0
    assert train(*made.words(tmp_path / "compiled", *alike, "--parallel.compile")).code == 0
    assert_equal(tmp_path / "eager", tmp_path / "compiled", "compiled")


def test_bfloat16_is_near(made: Made, plain: Path, tmp_path: Path) -> None:
    """On one rank and on two; weights stay float32."""
    for ranks in (1, 2):
        out = tmp_path / str(ranks)
        assert train(*made.words(out, "--parallel.precision", "bfloat16"), ranks=ranks).code == 0
        difference = results.relative_difference(results.losses(plain), results.losses(out))
        print(f"bfloat16 on {ranks} rank(s): losses differ by {difference:.1e} (relative)")
        assert 1e-5 < difference < 0.03
        assert all(tensor.dtype == results.weights(plain)[name].dtype for name, tensor in results.weights(out).items())
