"""The paper's three stages, each from the one before: what is frozen stays to the bit, what is trained learns; stock diffusers reads what comes out."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.__main__ import main as model
from model.checkpoint import Checkpoint
from tests.model import tiny_wan
from tests.training_runs import results
from tests.training_runs.commands import train
from tests.training_runs.made_training import Made
from training.__main__ import main as training
from training.network import TrainedNetwork
from training.presets import PRESETS
from training.stages import group_of

STAGES = ("stage_1_audio", "stage_2_global", "stage_3_viewpoint_expression")
QUICK = ("--steps", 6, "--optimizer.warmup", 1, "--optimizer.rate", 1e-2, "--optimizer.average", 0.5)


@pytest.fixture(scope="module")
def outs(made: Made, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What the stages left, by way of OUT, not of an exported folder."""
    found, begun = [], made.start
    for stage in STAGES:
        out = tmp_path_factory.mktemp(stage)
        ended = train(*made.words(out, "--preset", stage, "--from-checkpoint", begun, *QUICK))
        assert ended.code == 0, ended.told
        found.append(out)
        begun = out
    return found


def begun(made: Made) -> dict[str, Tensor]:
    return dict(TrainedNetwork.of(Checkpoint.load(made.start)).state_dict())


def test_each_stage_trains_its_groups_and_freezes_the_others(made: Made, outs: list[Path]) -> None:
    before = begun(made)
    for stage, out in zip(STAGES, outs, strict=True):
        trained, after = set(PRESETS[stage]().trained), results.weights(out, "average")
        assert after.keys() == before.keys()
        for name in after:
            if group_of(name) not in trained:
                assert torch.equal(after[name], before[name]), f"{stage} changed {name}"
        changed = {group_of(name) for name in after if not torch.equal(after[name], before[name])}
        assert changed == trained
        before = after


def test_the_first_stage_sees_no_anchors_and_the_second_global_ones_alone() -> None:
    kinds = [PRESETS[stage]().superset.kinds for stage in STAGES]
    assert kinds == [(), ("global",), ("global", "viewpoint", "expression")]


def test_the_export_is_what_was_trained(outs: list[Path], tmp_path: Path) -> None:
    """OUT/model has the averages; `export` writes those or the raw weights."""
    out = outs[-1]
    assert training(["export", "--out", str(out), "--to", str(tmp_path / "raw"), "--weights", "raw"]) == 0
    for folder, kind in ((out / "model", "average"), (tmp_path / "raw", "raw")):
        exported = TrainedNetwork.of(Checkpoint.load(folder)).state_dict()
        assert results.same(exported, results.weights(out, kind))  # type: ignore[arg-type]


@torch.no_grad()
def test_stock_diffusers_and_ours_give_the_same(outs: list[Path], tmp_path: Path) -> None:
    """Without anchors and sound, which stock Wan does not know."""
    assert model(["export", "--checkpoint", str(outs[-1] / "model"), "--out", str(tmp_path / "stock")]) == 0
    ours, stock = Checkpoint.load(outs[-1] / "model").transformer, tiny_wan.in_diffusers(tmp_path / "stock")
    generator = torch.Generator().manual_seed(0)
    config = ours.config
    latents = torch.randn(2, config.in_channels, 3, 6, 8, generator=generator)
    text, times = torch.randn(2, 8, config.text_dim, generator=generator), torch.tensor([900.0, 250.0])
    one = ours(latents, times, text).sample
    assert torch.equal(one, stock(latents, times, text).sample)
    before = Checkpoint.load(outs[0] / "model").transformer
    assert not torch.equal(one, before(latents, times, text).sample)
