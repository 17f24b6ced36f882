"""The encode job in one process: next to and instead of pixels, increments, interruptions, failures, and what is refused."""

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from rich.console import Console

import jobs.encode_work
from jobs import parts, placement
from jobs.__main__ import main
from jobs.encode import check_out, encode
from jobs.encode_inputs import read_inputs
from jobs.engine import EngineOptions, SetupError
from jobs.pack import pack
from jobs.pack_check import check
from jobs.progress import Progress
from jobs.stage import Job, StageSummary
from model.checkpoint import Checkpoint
from model.samples.encode import latents_key
from pipeline import storage
from pipeline.pack import shards as shard_files
from pipeline.pack.options import PackOptions
from schemas.latents import INDEX_METADATA, Latents, LatentsKey
from schemas.tables import FAILURES
from schemas.yaml_options import OptionsError
from tests.jobs.encode_root import PER_SHARD, command, some_samples, streamed, write_checkpoint, write_shards
from tests.jobs.pack_root import files, job_at

AREA = 32 * 24
SMALL = {"area": AREA, "shard_bytes": 2 * PER_SHARD}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shards(tmp_path / "packed" / "shards", some_samples(7))
    return tmp_path / "packed" / "shards"


def encoded(shards: Path, out: Path, checkpoint: Path, **changes: Any) -> tuple[StageSummary, str]:
    """What was done and what was said."""
    said = io.StringIO()
    job = Job(str(out), EngineOptions(engine="local"), Progress(Console(file=said, width=500)))
    asked = command(shards, out, checkpoint, **(SMALL | changes))
    return encode(job, asked, read_inputs(asked.shards)), said.getvalue()


def failures(out: Path) -> dict[str, Mapping[str, Any]]:
    return {row["source"]: row for row in parts.read_parts(str(out), FAILURES).to_pylist(maps_as_pydicts="strict")}


def test_latents_stand_next_to_pixels_which_stay_as_they_are(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    summary, _ = encoded(shards, tmp_path / "out", checkpoint)
    assert (summary.done, summary.skipped, summary.failed, summary.counts["samples"]) == (7, 0, 0, 7)
    key = latents_key(Checkpoint.load(checkpoint), AREA)
    assert LatentsKey.from_json(shard_files.index_notes(str(tmp_path / "out" / "shards"))[INDEX_METADATA]) == key
    originals = {sample.metadata.clip_id: sample for sample in some_samples(7)}
    found = streamed(tmp_path / "out")
    assert set(found) == set(originals)
    for name, sample in found.items():
        original = originals[name]
        assert (sample.video, sample.audio, sample.anchors) == (original.video, original.audio, original.anchors)
        assert replace(sample.metadata, latents=False, sample_hash=original.metadata.sample_hash) == original.metadata
        assert sample.latents is not None
        assert Latents.from_bytes(sample.latents, name).key == key
    assert check(job_at(tmp_path / "out")) == []


def test_latents_stand_instead_of_pixels(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    encoded(shards, tmp_path / "beside", checkpoint)
    encoded(shards, tmp_path / "instead", checkpoint, keep_pixels=False)
    beside, instead = streamed(tmp_path / "beside"), streamed(tmp_path / "instead")
    assert {name: sample.latents for name, sample in instead.items()} == {name: sample.latents for name, sample in beside.items()}
    assert all((sample.video, sample.audio, sample.anchors) == (None, None, ()) for sample in instead.values())
    assert check(job_at(tmp_path / "instead")) == []


def test_the_check_finds_a_byte_that_changed(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    encoded(shards, tmp_path / "out", checkpoint, keep_pixels=False)
    row = shard_files.read_shard_index(str(tmp_path / "out" / "shards"))[0]
    shard = tmp_path / "out" / "shards" / row["shard"]
    content = bytearray(shard.read_bytes())
    content[row["member_offsets"][1] + 2000] ^= 1
    shard.write_bytes(content)
    assert any("latents.safetensors is damaged" in problem for problem in check(job_at(tmp_path / "out")))


def test_a_second_run_does_nothing(shards: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded(shards, tmp_path / "out", checkpoint)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "shards").iterdir()}
    monkeypatch.setattr(jobs.encode_work.EncodeWork, "setup", None)
    summary, said = encoded(shards, tmp_path / "out", checkpoint)
    assert (summary.done, summary.skipped, summary.failed, said) == (0, 7, 0, "")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "shards").iterdir()} == before


def test_samples_that_come_and_go(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    encoded(shards, tmp_path / "out", checkpoint)
    known = {path.name for path in (tmp_path / "out" / "shards").glob("*.tar")}
    other = tmp_path / "other"
    write_shards(other, [*some_samples(9)[1:]])
    summary, said = encoded(other, tmp_path / "out", checkpoint)
    assert (summary.done, summary.skipped) == (2, 6)
    assert "1 samples in" in said
    assert "are not in --shards, clip-0 for one: they go" in said
    assert set(streamed(tmp_path / "out")) == {f"clip-{number}" for number in range(1, 9)}
    rows = shard_files.read_shard_index(str(tmp_path / "out" / "shards"))
    assert {row["shard"] for row in rows} - known, "numbers are never used twice"
    assert check(job_at(tmp_path / "out")) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"area": 16 * 12}, "area 192 instead of 768"), ({"dtype": "float32"}, "--dtype or --keep-pixels"), ({"keep_pixels": False}, "--dtype or --keep-pixels")],
)
def test_another_choice_encodes_anew_and_says_why(shards: Path, tmp_path: Path, checkpoint: Path, change: dict[str, Any], reason: str) -> None:
    encoded(shards, tmp_path / "out", checkpoint)
    before = {path.name for path in (tmp_path / "out" / "shards").glob("*.tar")}
    summary, said = encoded(shards, tmp_path / "out", checkpoint, **change)
    assert (summary.done, summary.skipped) == (7, 0)
    assert f"7 samples in {tmp_path}/out/shards are encoded anew: " in said
    assert reason in said
    assert not before & {path.name for path in (tmp_path / "out" / "shards").glob("*.tar")}
    encoded(shards, tmp_path / "fresh", checkpoint, **change)
    assert {key: sample.latents for key, sample in streamed(tmp_path / "out").items()} == {
        key: sample.latents for key, sample in streamed(tmp_path / "fresh").items()
    }
    assert check(job_at(tmp_path / "out")) == []


class KilledError(BaseException):
    """As a signal would."""


@pytest.mark.parametrize("writes", [3, 8, 9])
def test_a_killed_job_ends_with_the_same_files(shards: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """Killed while staging (3), between shards (8), before the index (9)."""
    original, left = storage.write_atomic, writes

    def counted(uri: str, content: storage.Content) -> None:
        nonlocal left
        if not left:
            raise KilledError
        original(uri, content)
        left -= 1

    with monkeypatch.context() as killing:
        killing.setattr(storage, "write_atomic", counted)
        with pytest.raises(KilledError):
            encoded(shards, tmp_path / "killed", checkpoint)
    assert not (tmp_path / "killed" / "shards" / "index.parquet").exists()
    assert len(list((tmp_path / "killed" / "shards").rglob("*.tar"))) == writes
    encoded(shards, tmp_path / "killed", checkpoint)
    encoded(shards, tmp_path / "whole", checkpoint)
    assert files(tmp_path / "killed" / "shards") == files(tmp_path / "whole" / "shards")


def test_how_input_shards_are_filled_does_not_matter(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    write_shards(tmp_path / "large", some_samples(7), shard_bytes=10**9)
    encoded(shards, tmp_path / "one", checkpoint)
    encoded(tmp_path / "large", tmp_path / "two", checkpoint)
    assert files(tmp_path / "one" / "shards") == files(tmp_path / "two" / "shards")


def test_a_damaged_sample_is_a_failure_until_it_is_well(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    (damaged,) = [sample for sample in read_inputs([str(shards)]) if sample.key == "clip-3"]
    shard, (_, offset, _) = Path(damaged.uri), damaged.members[1]
    good = shard.read_bytes()
    shard.write_bytes(good[: offset + 600] + bytes(50) + good[offset + 650 :])
    summary, said = encoded(shards, tmp_path / "out", checkpoint)
    assert (summary.done, summary.failed) == (6, 1)
    (row,) = failures(tmp_path / "out").values()
    assert (row["source"], row["stage"], row["kind"], row["attempt"], row["video_id"]) == ("clip-3", "encode", "damaged", 1, "video")
    assert row["message"] == f"{shard}: clip-3: clip-3.mp4 is damaged: its bytes do not have the CRC-32 that clip-3.json gives"
    assert f"encode failed: clip-3: {row['message']}" in said
    assert check(job_at(tmp_path / "out")) == []
    assert encoded(shards, tmp_path / "out", checkpoint)[0].failed == 1
    assert failures(tmp_path / "out")["clip-3"]["attempt"] == 2
    shard.write_bytes(good)
    assert encoded(shards, tmp_path / "out", checkpoint)[0].done == 1
    assert failures(tmp_path / "out") == {}
    assert len(streamed(tmp_path / "out")) == 7


def test_a_shard_that_is_gone_costs_its_samples_alone(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    lost = [row["key"] for row in shard_files.read_shard_index(str(shards)) if row["shard"] == "shard-000001.tar"]
    (shards / "shard-000001.tar").unlink()
    summary, _ = encoded(shards, tmp_path / "out", checkpoint)
    assert (summary.done, summary.failed) == (7 - len(lost), len(lost))
    assert {key: row["kind"] for key, row in failures(tmp_path / "out").items()} == dict.fromkeys(lost, "not_found")


def test_a_bug_in_one_sample_does_not_cost_its_neighbours(shards: Path, tmp_path: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = jobs.encode_work.read_sample

    def fragile(wanted: Any, file: BinaryIO) -> Any:
        if wanted.key == "clip-2":
            raise RuntimeError("no such thing")
        return original(wanted, file)

    monkeypatch.setattr(jobs.encode_work, "read_sample", fragile)
    summary, _ = encoded(shards, tmp_path / "out", checkpoint)
    assert (summary.done, {key: row["kind"] for key, row in failures(tmp_path / "out").items()}) == (6, {"clip-2": "bug"})


def test_what_is_not_meant_as_output_is_refused(shards: Path, tmp_path: Path, checkpoint: Path) -> None:
    for out in (shards, shards.parent):
        with pytest.raises(OptionsError, match="its shards are those that are to be read"):
            check_out(str(out), [str(shards)])
    (tmp_path / "link").symlink_to(shards.parent)
    with pytest.raises(OptionsError, match="its shards are those that are to be read"):
        check_out(str(tmp_path / "link"), [str(shards)])
    write_shards(tmp_path / "others" / "shards", some_samples(1))
    with pytest.raises(OptionsError, match="is the output root of other commands, whose shards would be replaced; give another folder"):
        check_out(str(tmp_path / "others"), [str(shards)])
    encoded(shards, tmp_path / "out", checkpoint)
    check_out(str(tmp_path / "out"), [str(shards)])
    with pytest.raises(SetupError, match="holds what encode wrote, and no clips to pack"):
        pack(job_at(tmp_path / "out"), PackOptions())
    (tmp_path / "out" / "shards" / "index.parquet").write_bytes(b"damaged")
    with pytest.raises(OptionsError, match="the index of its shards is damaged"):
        check_out(str(tmp_path / "out"), [str(shards)])


def test_the_command_says_in_a_sentence_what_is_wrong(
    shards: Path, tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "_gpus_here", lambda: 0)

    def said(code: int, shards: Path, out: Path, checkpoint: Path, *more: str) -> str:
        local = ["--engine.engine", "local", *more]
        assert main(["encode", "--shards", str(shards), "--out", str(out), "--checkpoint", str(checkpoint), *local]) == code
        return capsys.readouterr().err

    assert "its shards are those that are to be read" in said(2, shards, shards.parent, checkpoint)
    assert "there is no index.parquet; `pack` writes one" in said(2, tmp_path / "nowhere", tmp_path / "out", checkpoint)
    assert "is no checkpoint: it has no model_index.json" in said(1, shards, tmp_path / "out", shards)
    assert "has no GPU; take --device cpu" in said(1, shards, tmp_path / "out", checkpoint, "--device", "cuda")
    assert "7/7 units" in said(0, shards, tmp_path / "out", checkpoint)
    assert "nothing to do: everything is encoded already" in said(0, shards, tmp_path / "out", checkpoint)
    for shard in shards.glob("*.tar"):
        shard.write_bytes(b"gone")
    assert f"nothing could be encoded: 7 samples cannot be encoded, see {tmp_path}/new/failures" in said(1, shards, tmp_path / "new", checkpoint)
