import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.conditions.pixel_codec import PixelUnshuffleCodec
from model.conditions.words import WordEmbedding
from tests.training.small_training import small_checkpoint
from training.__main__ import parse
from training.errors import TrainingError
from training.options import BatchOptions, DataOptions, OptimizerOptions, ParallelOptions, TrainingOptions, ValidationOptions
from training.presets import PRESETS
from training.snapshot import DATA, SNAPSHOT, check_snapshot, check_start, fingerprints, update_snapshot, write_snapshot

OPTIONS = TrainingOptions(("shards",), "out", "/start")
SHARDS = "f00"
START = {"codec": "a", "text": None, "sampling": "b", "usage": "c"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    write_snapshot(tmp_path, OPTIONS, SHARDS, START)
    return tmp_path


def test_the_same_goes_on(out: Path) -> None:
    check_snapshot(out, OPTIONS, SHARDS)


@pytest.mark.parametrize(
    "changes",
    [
        {"shards": ("moved",), "out": "moved", "from_checkpoint": "moved", "config": "file.yaml"},
        {"data": DataOptions(workers=9, prefetch=4, cache="/tmp", skip_damaged=True, leave_out=("a", "b"))},
        {"batch": BatchOptions(micro=4), "parallel": ParallelOptions("fsdp", compile=True, threads=3)},
        {"validation": ValidationOptions(every=1, most_samples=2, quantiles=3, pictures=0)},
    ],
)
def test_where_things_are_and_how_the_work_is_laid_out_may_change(out: Path, changes: dict[str, Any]) -> None:
    check_snapshot(out, replace(OPTIONS, **changes), SHARDS)


def test_every_difference_is_listed(out: Path) -> None:
    changed = replace(OPTIONS, seed=3, steps=5, trained=("audio",), batch=BatchOptions(size=16), data=DataOptions(area=256, workers=0))
    with pytest.raises(TrainingError) as caught:
        check_snapshot(out, changed, SHARDS)
    told = str(caught.value)
    for difference in ("seed was 0, is 3", "steps was 10000, is 5", "is ['audio']", "batch.size was 8, is 16", "data.area was None, is 256"):
        assert difference in told
    assert "workers" not in told
    assert f"--config {out / SNAPSHOT}" in told


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_more_steps_are_another_schedule_but_of_a_constant_rate(tmp_path: Path, schedule: Any) -> None:
    options = replace(OPTIONS, optimizer=OptimizerOptions(schedule=schedule))
    write_snapshot(tmp_path, options, SHARDS, START)
    longer = replace(options, steps=20_000)
    if schedule == "constant":
        check_snapshot(tmp_path, longer, SHARDS)
    else:
        with pytest.raises(TrainingError, match="steps was 10000, is 20000"):
            check_snapshot(tmp_path, longer, SHARDS)


def test_other_samples(out: Path) -> None:
    with pytest.raises(TrainingError, match="shards holds other samples than the training in"):
        check_snapshot(out, OPTIONS, "beef")


@pytest.mark.parametrize("name", [SNAPSHOT, DATA])
@pytest.mark.parametrize("content", [None, "", "{", "7"])
def test_a_snapshot_that_cannot_be_read(out: Path, name: str, content: str | None) -> None:
    (out / name).unlink()
    if content is not None:
        (out / name).write_text(content)
    with pytest.raises(TrainingError, match=f"(?s){name} cannot be read .*choose a new --out"):
        check_snapshot(out, OPTIONS, SHARDS)


@pytest.mark.parametrize("name", list(PRESETS))
def test_it_is_a_config_that_gives_the_same_options(tmp_path: Path, name: str) -> None:
    given = ["--preset", name, "--shards", "a", "b", "--out", "o", "--from-checkpoint", "/c", "--data.leave-out", "k", "--augment.crop"]
    options = parse(given)
    write_snapshot(tmp_path, options, SHARDS, START)
    again = parse(["--config", str(tmp_path / SNAPSHOT)])
    assert replace(again, config=None) == options


def test_the_start_is_found_from_anywhere(tmp_path: Path) -> None:
    write_snapshot(tmp_path, replace(OPTIONS, from_checkpoint="here"), SHARDS, START)
    assert yaml.safe_load((tmp_path / SNAPSHOT).read_text())["from_checkpoint"] == str(Path("here").absolute())


def test_a_training_that_went_on_from_itself_still_knows_its_start(out: Path) -> None:
    update_snapshot(out, replace(OPTIONS, from_checkpoint=str(out / ".." / out.name), steps=7))
    snapshot = yaml.safe_load((out / SNAPSHOT).read_text())
    assert (snapshot["from_checkpoint"], snapshot["steps"]) == ("/start", 7)


def test_another_start_is_named(out: Path) -> None:
    check_start(out, OPTIONS, START)
    with pytest.raises(TrainingError, match=r"/start is not what the training in .* started from: other text, usage. Give that folder with --from-checkpoint"):
        check_start(out, OPTIONS, {**START, "text": "d", "usage": "d"})


def test_the_fingerprints_are_of_all_but_the_weights_that_are_trained() -> None:
    base = fingerprints(small_checkpoint(), 256)
    assert json.loads(json.dumps(base)) == base == fingerprints(small_checkpoint(seed=1), 256)

    def differing(area: int = 256, **changes: Any) -> list[str]:
        checkpoint = small_checkpoint()
        for name, value in changes.items():
            setattr(checkpoint, name, value)
        return [name for name, value in fingerprints(checkpoint, area).items() if value != base[name]]

    checkpoint = small_checkpoint()
    assert differing(area=512) == ["area"]
    assert differing(codec=PixelUnshuffleCodec(4, 1)) == ["codec"]
    assert differing(sampling=replace(checkpoint.sampling, shift=5.0)) == ["sampling"]
    assert differing(own_usage=replace(checkpoint.usage, frame_rate=8.0)) == ["usage"]
    assert differing(text_encoder=WordEmbedding(checkpoint.text_encoder.dim, length=9, buckets=64)) == ["text encoder"]
    changed = small_checkpoint().transformer
    changed.register_to_config(rope_max_seq_len=999)
    assert differing(transformer=changed) == ["network"]
