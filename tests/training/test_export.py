"""What was trained, as a folder that this project and stock diffusers read, with the same numbers. (Checkpoints of several ranks: see test_state.)"""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from model.audio.log_mel import LogMel
from model.checkpoint import Checkpoint, stock_transformer
from model.conditions.words import WordEmbedding
from model.create import create_tiny
from model.errors import ModelInputError
from tests.model.small_networks import small
from tests.model.tiny_wan import in_diffusers
from training.checkpoints import Checkpoints
from training.ema import MovingAverage
from training.errors import TrainingError
from training.export import export, start_of, trained_checkpoint
from training.network import TrainedNetwork
from training.processes import Processes
from training.state import TrainingState


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start") / "tiny"
    untrained().save(folder)
    return folder


def untrained(blocks: int = 2) -> Checkpoint:
    """As ``python -m model init`` makes it, but smaller."""
    transformer = small("tiny", audio_dim=LogMel().dim, num_layers=blocks, audio_layers=(0,)).eval()
    return replace(create_tiny(3), transformer=transformer, text_encoder=WordEmbedding(transformer.config.text_dim, buckets=32))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, start: Path) -> tuple[Path, dict[str, dict[str, Tensor]]]:
    """OUT of a training with steps 1 and 2, and the raw and averaged weights after step 2."""
    out = tmp_path_factory.mktemp("training")
    with Processes.start("cpu") as processes:
        return out, train(processes, out, start)


def train(processes: Processes, out: Path, start: Path, decay: float = 0.8) -> dict[str, dict[str, Tensor]]:
    """Two steps on gradients of no meaning, with half of the network frozen; the weights after them."""
    network = TrainedNetwork.of(Checkpoint.load(start))
    for name, parameter in network.named_parameters():
        parameter.requires_grad_("ffn" not in name)
    parameters: dict[str, nn.Parameter] = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    optimizer = AdamW(parameters.values(), lr=0.01)
    average = MovingAverage(parameters, decay, network) if decay else None
    state = TrainingState(network, optimizer, LambdaLR(optimizer, lambda _: 1.0), average, processes)
    (out / "config.yaml").write_text(yaml.safe_dump({"seed": 0, "from_checkpoint": str(start)}))
    with Checkpoints(out, 5, processes) as checkpoints:
        for step in (1, 2):
            for parameter in parameters.values():
                parameter.grad = torch.sin(parameter.detach() * 1000 * step)
            optimizer.step()
            if average is not None:
                average.update()
            checkpoints.save(step, state.capture({"step": step, "position": 8 * step}), wait=True)
    raw = dict(network.state_dict())
    return {"raw": raw, "average": raw | ({} if average is None else average.state_dict())}


def weights_of(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return dict(TrainedNetwork.of(checkpoint).state_dict())


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("weights", ["average", "raw"])
def test_the_folder_has_the_weights_of_the_training_and_all_else_of_its_start(
    trained: tuple[Path, dict[str, dict[str, Tensor]]], start: Path, tmp_path: Path, weights: Any
) -> None:
    out, expected = trained
    export(out, tmp_path / "model", weights=weights)
    checkpoint = Checkpoint.load(tmp_path / "model")
    assert same(weights_of(checkpoint), expected[weights])
    assert not same(expected["average"], expected["raw"])
    before = weights_of(Checkpoint.load(start))
    assert {name for name in before if torch.equal(before[name], expected[weights][name])} >= {name for name in before if "ffn" in name}
    assert not torch.equal(before["text_encoder.words"], expected[weights]["text_encoder.words"])
    for part in ("vae", "audio_features", "scheduler"):
        for file in (start / part).iterdir():
            assert (tmp_path / "model" / part / file.name).read_bytes() == file.read_bytes()
    assert json.loads((tmp_path / "model" / "training.json").read_text())["weights"] == weights
    assert json.loads((tmp_path / "model" / "training.json").read_text())["progress"]["position"] == 16
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]


def test_stock_diffusers_gives_the_same_numbers_without_what_is_new(trained: tuple[Path, Any], tmp_path: Path) -> None:
    export(trained[0], tmp_path / "model")
    ours = Checkpoint.load(tmp_path / "model").transformer
    stock_transformer(ours).save_pretrained(tmp_path / "stock")
    generator = torch.Generator().manual_seed(0)
    video = torch.randn(1, ours.config.in_channels, 3, 4, 6, generator=generator)
    text = torch.randn(1, 8, ours.config.text_dim, generator=generator)
    with torch.no_grad():
        expected = ours(video, torch.tensor([500]), text, return_dict=False)[0]
        assert torch.equal(in_diffusers(tmp_path / "stock")(video, torch.tensor([500]), text, return_dict=False)[0], expected)


def test_stock_diffusers_reads_the_folder_itself_and_drops_what_is_new(trained: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(trained[0], tmp_path / "model")
    monkeypatch.setattr(WanTransformer3DModel, "_keep_in_fp32_modules", None)  # for which it asks for accelerate
    stock, report = WanTransformer3DModel.from_pretrained(tmp_path / "model" / "transformer", output_loading_info=True)
    assert not report["missing_keys"]
    assert {name.split(".")[0] for name in report["unexpected_keys"]} == {"audio_embedder", "audio_attention"}
    assert same(dict(stock.state_dict()), dict(stock_transformer(Checkpoint.load(tmp_path / "model").transformer).state_dict()))


def test_an_earlier_step(trained: tuple[Path, dict[str, dict[str, Tensor]]]) -> None:
    out, newest = trained
    assert not same(weights_of(trained_checkpoint(out, 1)), newest["average"])
    assert same(weights_of(trained_checkpoint(out, 2)), newest["average"])
    with pytest.raises(TrainingError, match=r"has no checkpoint of step 7; it has 1, 2"):
        trained_checkpoint(out, 7)


def test_without_averages_the_weights_themselves_are_taken(start: Path, tmp_path: Path, alone: Processes) -> None:
    expected = train(alone, tmp_path, start, decay=0.0)
    assert same(weights_of(trained_checkpoint(tmp_path)), expected["raw"])
    with pytest.raises(TrainingError, match=r"has no averaged weights, since it was trained with --optimizer\.average 0; give --weights raw"):
        trained_checkpoint(tmp_path, weights="average")


def test_a_training_that_started_from_a_training(trained: tuple[Path, Any], start: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"from_checkpoint": str(trained[0])}))
    assert start_of(tmp_path) == start


def moved(trained: Path, tmp_path: Path, start: str) -> Path:
    """A copy of a training that says it started from somewhere else."""
    shutil.copytree(trained, tmp_path / "out")
    (tmp_path / "out" / "config.yaml").write_text(yaml.safe_dump({"from_checkpoint": start}))
    return tmp_path / "out"


def test_what_it_started_from_is_elsewhere(trained: tuple[Path, dict[str, dict[str, Tensor]]], start: Path, tmp_path: Path) -> None:
    out = moved(trained[0], tmp_path, "/gone")
    with pytest.raises(TrainingError, match=r"out started from /gone, which is no longer there: put it back, or say with --from-checkpoint where it is"):
        export(out, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert same(weights_of(trained_checkpoint(out, start=start)), trained[1]["average"])


def test_what_it_started_from_is_another_network(trained: tuple[Path, Any], tmp_path: Path) -> None:
    untrained(blocks=1).save(tmp_path / "other")
    with pytest.raises(TrainingError, match=r"step-00000002 does not fit the transformer that the training started from .* with --from-checkpoint"):
        trained_checkpoint(trained[0], start=tmp_path / "other")


@pytest.mark.parametrize("content", [None, "seed: 0", "[", "- 1"])
def test_a_training_that_does_not_say_what_it_started_from(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(TrainingError, match=r"config\.yaml does not say what the training started from .*; give that folder with --from-checkpoint"):
        start_of(tmp_path)


def test_a_folder_without_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"has no checkpoint: give the --out of a training that has saved one"):
        export(tmp_path, tmp_path / "model")


@pytest.mark.parametrize("file", ["__0_0.distcp", ".metadata", "training.json"])
def test_a_damaged_checkpoint(trained: tuple[Path, Any], start: Path, tmp_path: Path, file: str) -> None:
    out = moved(trained[0], tmp_path, str(start))
    path = out / "checkpoints" / "step-00000002" / file
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match="step-00000002 is damaged"):
        export(out, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_folder_that_holds_something_is_left_alone(trained: tuple[Path, Any], tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ModelInputError, match="is not empty"):
        export(trained[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_a_full_disk_leaves_nothing(trained: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Checkpoint.save

    def fill(checkpoint: Checkpoint, folder: Path) -> None:
        save(checkpoint, folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Checkpoint, "save", fill)
    with pytest.raises(TrainingError, match=r"model cannot be written \(.*No space left on device\); make room, or choose another folder with --to"):
        export(trained[0], tmp_path / "model")
    assert not any(tmp_path.iterdir())


def test_the_network_is_meant_for_what_it_was_trained_on(trained: tuple[Path, dict[str, Any]]) -> None:
    out = trained[0]
    before = (out / "config.yaml").read_text()
    usage = trained_checkpoint(out).usage
    try:
        (out / "config.yaml").write_text(yaml.safe_dump(yaml.safe_load(before) | {"data": {"area": 1024, "frames": 9}}))
        assert trained_checkpoint(out).usage == replace(usage, area=1024, chunk_latents=3)
    finally:
        (out / "config.yaml").write_text(before)
