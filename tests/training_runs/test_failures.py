"""What the user sees when something is wrong, and that nothing is lost by it."""

import resource
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from model.conditions.pixel_codec import PixelUnshuffleCodec
from schemas.latents import Latents
from schemas.sample import Sample
from tests.training.small_training import CHARACTERS, CLIPS
from tests.training_runs import results
from tests.training_runs.commands import Ended, start, train
from tests.training_runs.made_training import Made, change_index, change_samples
from training.data.index import read_index

QUICK = 20.0
"""Seconds within which a mistake is told, on a busy machine; on an idle one it takes two."""


def refused(*words: object, code: int = 1) -> str:
    """What was told, soon."""
    began = time.monotonic()
    ended = train(*words)
    assert ended.code == code, ended.told
    assert time.monotonic() - began < QUICK
    assert "Traceback" not in ended.told
    return ended.told


@pytest.fixture
def shards(made: Made, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return Path(shutil.copytree(made.shards, tmp_path / "shards"))


def lying_beyond(shards: Path, shard: str, byte: int) -> list[str]:
    """Keys of the samples of a shard that do not end before a byte."""
    index = read_index([str(shards)])
    number = next(n for n, url in enumerate(index.shard_urls) if url.endswith(shard))
    return [str(key) for key in index.keys[(index.shard == number) & (index.offset + index.size > byte)]]


def test_a_shard_that_was_cut_off(made: Made, shards: Path, tmp_path: Path) -> None:
    cut = shards / "shard-000001.tar"
    size = cut.stat().st_size // 2
    with cut.open("r+b") as file:
        file.truncate(size)
    lost = lying_beyond(shards, cut.name, size)
    assert 0 < len(lost) < 5
    words = made.words(tmp_path / "out", "--shards", shards, "--steps", 6)
    told = refused(*words)
    assert f"the shard ends at byte {size}" in told
    assert f"(in {cut})" in told
    remedy = "To go on without this sample: --data.leave-out {}; without any that cannot be read, each counted: --data.skip-damaged"
    assert any(remedy.format(key) in told for key in lost)

    ended = train(*words, "--data.skip-damaged")  # an epoch has six steps
    assert ended.code == 0
    assert sorted(line["key"] for line in results.lines(tmp_path / "out", "skipped")) == sorted(lost)
    assert all(f"skipped {key}: {key}: the shard ends at byte {size}" in ended.told for key in lost)
    told_of = results.lines(tmp_path / "out", "training")[-1]
    assert (told_of["position"], told_of["learned"], told_of["skipped"]) == (CLIPS, CLIPS - len(lost), len(lost))


def test_a_rank_that_ends_is_the_only_one_to_say_why(made: Made, shards: Path, tmp_path: Path) -> None:
    """One sample is damaged, so one of two ranks has it."""
    cut, index = shards / "shard-000001.tar", read_index([str(shards)])
    last = max(index.offset[index.shard == [url.endswith(cut.name) for url in index.shard_urls].index(True)])
    with cut.open("r+b") as file:
        file.truncate(int(last) + 1024)
    (key,) = lying_beyond(shards, cut.name, int(last) + 1024)
    ended = train(*made.words(tmp_path / "out", "--shards", shards), ranks=2)
    assert ended.codes == (1, 1)
    assert ended.told.count(f"To go on without this sample: --data.leave-out {key}") == 1
    assert ended.told.count("another rank ended; its message says why") == 1
    assert "Traceback" not in ended.told


def test_a_member_that_is_missing(made: Made, shards: Path, tmp_path: Path) -> None:
    change_index(shards, without_sound)
    assert "lacks clip-" in (told := refused(*made.words(tmp_path / "out", "--shards", shards)))
    assert ".flac" in told


def without_sound(table: pa.Table) -> pa.Table:
    """As if its shards had no member of this name."""
    names = [["other" if name == "flac" else name for name in members] for members in table["member_names"].to_pylist()]
    place = table.column_names.index("member_names")
    return table.set_column(place, table.field(place), pa.array(names, table.field(place).type))


def test_samples_of_another_version(made: Made, shards: Path, tmp_path: Path) -> None:
    for shard in shards.glob("*.tar"):
        shard.write_bytes(shard.read_bytes().replace(b'"version": 2', b'"version": 9'))
    told = refused(*made.words(tmp_path / "out", "--shards", shards))
    assert "the sample has version 9, this release reads versions 1 to 2; upgrade gloria-anchors to read it" in told


def test_a_number_that_is_none_stops_before_the_weights(made: Made, latents: Path, tmp_path: Path) -> None:
    planted = "clip-07"

    def plant(sample: Sample) -> Sample:
        if sample.metadata.clip_id != planted or sample.latents is None:
            return sample
        found = Latents.from_bytes(sample.latents, planted)
        video = found.video.copy()
        video[0, :] = np.nan
        return replace(sample, latents=replace(found, video=video).to_bytes())

    shards = change_samples(latents, tmp_path / "shards", plant)
    words = made.words(tmp_path / "out", "--shards", shards, "--steps", 12, "--checkpoint.every", 1, "--checkpoint.wait")
    told = refused(*words)
    step = results.newest_step(tmp_path / "out") + 1
    assert f"step {step} (epoch 1): the loss is nan; the weights were not touched. It came from {planted}." in told
    assert f"go on from the last checkpoint with the same command and --data.leave-out {planted}" in told
    assert 1 < step <= 6
    before = results.weights(tmp_path / "out")
    assert all(tensor.isfinite().all() for tensor in before.values())

    ended = train(*words, "--data.leave-out", planted)
    assert ended.code == 0
    assert f"step {step}: skipped {planted}: {planted}: named by --data.leave-out" in ended.told
    assert list(results.losses(tmp_path / "out")) == list(range(1, 13))
    clean = train(*made.words(tmp_path / "clean", "--shards", latents, "--steps", 12, "--data.leave-out", planted))
    assert clean.code == 0
    assert results.losses(tmp_path / "clean") == results.losses(tmp_path / "out")  # as if the sample had never been there


def small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def test_a_disk_that_is_full(made: Made, tmp_path: Path) -> None:
    words = made.words(tmp_path / "full", "--steps", 30)
    with start(*words) as running:
        while results.newest_step(tmp_path / "full") < 10:
            time.sleep(0.01)
        running.signal(signal.SIGKILL)
        running.wait()
    stood = results.newest_step(tmp_path / "full")
    ended = train(*words, before=small_files)
    assert ended.code == 1
    folder = tmp_path / "full" / "checkpoints"
    assert f"could not be written to {folder}: no room is left (File too large)" in ended.told
    assert f"step-{stood:08d} stands, and the training goes on from there: make room, or lower --checkpoint.keep, and run the same command again" in ended.told
    assert "Traceback" not in ended.told
    assert results.newest_step(tmp_path / "full") == stood
    assert not list(folder.glob(".*")), "what was written of it is gone"

    assert train(*words).code == 0
    assert train(*made.words(tmp_path / "whole", "--steps", 30)).code == 0
    assert results.losses(tmp_path / "full") == results.losses(tmp_path / "whole")
    assert results.same(results.weights(tmp_path / "full"), results.weights(tmp_path / "whole"))


def test_a_full_disk_ends_all_ranks(made: Made, tmp_path: Path) -> None:
    ended = train(*made.words(tmp_path), ranks=2, before=small_files)
    assert ended.codes == (1, 1)
    assert "no checkpoint is there yet, so the training begins anew: make room" in ended.told


def test_another_preset_at_a_resume(made: Made, tmp_path: Path) -> None:
    assert train(*made.words(tmp_path, "--steps", 2)).code == 0
    told = refused(*made.words(tmp_path, "--steps", 4, "--preset", "tiny"))
    assert f"{tmp_path} holds a training with other options: " in told
    for difference in ("preset was plain, is tiny", "steps was 2, is 4", "optimizer.average was 0.999, is 0.99", "loss.drop_text was 0.1, is 0.05"):
        assert difference in told
    assert f"give the old ones (--config {tmp_path / 'config.yaml'}); to train with the new ones, choose a new --out" in told


def test_the_snapshot_is_a_config(made: Made, tmp_path: Path) -> None:
    assert train(*made.words(tmp_path, "--seed", 5)).code == 0
    before = results.losses(tmp_path)
    again = train("--config", tmp_path / "config.yaml", "--out", tmp_path / "again")
    assert again.code == 0, again.told
    assert results.losses(tmp_path / "again") == before


def test_other_shards_at_a_resume(made: Made, tmp_path: Path) -> None:
    assert train(*made.words(tmp_path / "out", "--steps", 2)).code == 0
    other = change_samples(made.shards, tmp_path / "other", lambda sample: replace(sample, metadata=replace(sample.metadata, sample_hash="other")))
    told = refused(*made.words(tmp_path / "out", "--steps", 2, "--shards", other))
    assert f"{other} holds other samples than the training in {tmp_path / 'out'} began with" in told


def test_another_start_at_a_resume(made: Made, tmp_path: Path) -> None:
    words = made.words(tmp_path / "out", "--steps", 2)
    assert train(*words).code == 0
    moved = Path(shutil.copytree(made.start, tmp_path / "moved"))
    assert train(*words, "--from-checkpoint", moved).code == 0
    PixelUnshuffleCodec(4, 1).save(moved / "vae")
    told = refused(*words, "--from-checkpoint", moved)
    assert f"{moved} is not what the training in {tmp_path / 'out'} started from: other codec" in told


def test_steps_that_are_done(made: Made, tmp_path: Path) -> None:
    words = made.words(tmp_path, "--optimizer.schedule", "constant")
    assert train(*words, "--steps", 3).code == 0
    again = train(*words, "--steps", 3)
    assert (again.code, "all 3 steps are done already: there is nothing to do" in again.told) == (0, True)
    assert "has done 3 already; give 3 or more" in refused(*words, "--steps", 2)
    assert "--steps 0: must be 1 or more" in refused(*words, "--steps", 0)
    further = train(*words, "--steps", 5)
    assert further.code == 0
    assert f"{tmp_path / 'model'}: the averaged weights after step 5" in further.told
    assert list(results.losses(tmp_path)) == [1, 2, 3, 4, 5]


def test_numbers_presets_and_devices_that_cannot_be(made: Made, tmp_path: Path) -> None:
    assert "--checkpoint.every 0: must be 1 or more" in refused(*made.words(tmp_path, "--checkpoint.every", 0))
    assert "--loss.drop-text 1.5: must be a probability, 0 to 1" in refused(*made.words(tmp_path, "--loss.drop-text", 1.5))
    assert "there is no preset 'large'" in refused(*made.words(tmp_path, "--preset", "large"), code=2)
    refused(*made.words(tmp_path, "--parallel.device", "tpu"), code=2)


def test_nobody_is_held_out(made: Made, tmp_path: Path) -> None:
    told = refused(*made.words(tmp_path, "--validation.share", 0.0001))
    assert f"none of the {CHARACTERS} characters falls into validation.share 0.0001: --validation.share 0." in told
    assert "would hold out one, --validation.share 0 trains without validation" in told


def test_latents_of_another_codec(made: Made, latents: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(made.start, tmp_path / "start"))
    PixelUnshuffleCodec(4, 1).save(other / "vae")  # as many channels
    told = refused(*made.words(tmp_path / "out", "--shards", latents, "--from-checkpoint", other, "--data.frames", 13))
    assert "the latents of the shards are not this checkpoint's: codec " in told
    assert "Encode the shards with this checkpoint (`python -m jobs encode --checkpoint … --area 256`)" in told


def test_latents_of_another_size(made: Made, latents: Path, tmp_path: Path) -> None:
    told = refused(*made.words(tmp_path, "--shards", latents, "--data.area", 400))
    assert "the latents of the shards are not this checkpoint's: area 256 instead of 400." in told
    assert "give the --data.area that they were encoded with (256), or train with --data.source pixels" in told


def test_an_option_that_there_is_not(made: Made, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("optimizer:\n  learning_rate: 0.1\n")
    told = refused(*made.words(tmp_path, "--config", tmp_path / "wrong.yaml"), code=2)
    assert f"{tmp_path / 'wrong.yaml'}: there is no option optimizer.learning_rate; did you mean optimizer." in told
    told = refused(*made.words(tmp_path, "--optimizer.learning-rate", 0.1), code=2)
    assert "optimizer.learning-rate" in told


def test_shards_or_a_checkpoint_that_are_not_there(made: Made, tmp_path: Path) -> None:
    assert "there is no such index of shards" in refused(*made.words(tmp_path / "a", "--shards", tmp_path / "none"))
    assert f"{tmp_path / 'none'} is no checkpoint" in refused(*made.words(tmp_path / "b", "--from-checkpoint", tmp_path / "none"))


def test_a_resume_with_another_batch(made: Made, tmp_path: Path) -> None:
    """May be laid out otherwise, but not be of another size."""
    assert train(*made.words(tmp_path, "--steps", 2)).code == 0
    told = refused(*made.words(tmp_path, "--steps", 2, "--batch.size", 5))
    assert "batch.size was 4, is 5" in told
    ended: Ended = train(*made.words(tmp_path, "--steps", 2, "--batch.micro", 1, "--data.workers", 0))
    assert ended.code == 0, ended.told
