"""The pack job on generated videos: increments, interruptions, failures; the shards as webdataset sees them."""

import io
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
import webdataset
from rich.console import Console

from jobs import pack as pack_job
from jobs import parts
from jobs.engine import EngineOptions
from jobs.pack import check, pack
from jobs.progress import Progress
from jobs.stage import Job
from pipeline.failures import InputError
from pipeline.pack import shards as shard_files
from pipeline.pack.clips import pack_clips
from pipeline.pack.options import PackOptions
from schemas.sample import Sample, parse_sample
from schemas.tables import FAILURES
from schemas.vocabulary import FailureKind
from tests.barcode import Kind, Written, read_number, write_video
from tests.jobs.pack_root import add_video, files, job_at, some_anchors, some_clips
from tests.pipeline.pack.rows import decode_picture, decode_video, shown_numbers

FAST = PackOptions(preset="ultrafast", shard_bytes=40_000)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Written]:
    folder = tmp_path_factory.mktemp("videos")
    return {
        name: write_video(folder / f"{name}.mp4", Kind.B_FRAMES, frames=frames, audio=name == "one")
        for name, frames in (("one", 120), ("two", 110), ("three", 100))
    }


@pytest.fixture
def out(tmp_path: Path, videos: dict[str, Written]) -> Path:
    for name in ("one", "two"):
        add_video(tmp_path, videos[name].path, some_clips(name), some_anchors(name, videos[name].pts_ns[::20]))
    return tmp_path


def streamed(out: Path) -> dict[str, Sample]:
    """All samples as plain webdataset yields them."""
    urls = sorted(map(str, (out / "shards").glob("*.tar")))
    dataset = webdataset.WebDataset(urls, shardshuffle=False, empty_check=False)
    return {sample["__key__"]: parse_sample(sample["__key__"], sample) for sample in dataset}


def test_webdataset_streams_the_shards_and_every_frame_is_right(out: Path, videos: dict[str, Written]) -> None:
    summary = pack(job_at(out), FAST)
    assert (summary.done, summary.skipped, summary.failed) == (6, 0, 0)
    assert summary.counts["shards written"] == len(list((out / "shards").glob("*.tar"))) > 1
    samples = streamed(out)
    assert sorted(samples) == sorted(f"{name}-{n}" for name in ("one", "two") for n in range(3))
    for key, sample in samples.items():
        video = videos[key.split("-")[0]]
        metadata = sample.metadata
        wanted = shown_numbers(video, metadata.start_ns, metadata.end_ns, 9, 16.0)
        assert [read_number(frame) for frame in decode_video(sample.video)] == wanted
        assert [read_number(decode_picture(picture)) for picture in sample.anchors] == [video.number_at(anchor.pts_ns) for anchor in metadata.anchors]
        assert any(not anchor.inside_clip for anchor in metadata.anchors)
        assert metadata.audio == (key.split("-")[0] == "one")
    assert check(job_at(out)) == []


def test_webdataset_decodes_what_it_knows(out: Path) -> None:
    pack(job_at(out), FAST)
    urls = sorted(map(str, (out / "shards").glob("*.tar")))
    for sample in webdataset.WebDataset(urls, shardshuffle=False, empty_check=False).decode("pil"):
        assert sample["json"]["clip_id"] == sample["__key__"]
        assert sample["anchor-00.jpg"].size == (320, 240)
        assert sample["mp4"][4:8] == b"ftyp"


def test_a_second_run_does_nothing(out: Path) -> None:
    pack(job_at(out), FAST)
    before = {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()}
    summary = pack(job_at(out), FAST)
    assert (summary.done, summary.skipped, summary.failed) == (0, 6, 0)
    assert {path: path.stat().st_mtime_ns for path in (out / "shards").iterdir()} == before
    assert pack(job_at(out), PackOptions(preset="ultrafast", shard_bytes=10**9, threads=2)).done == 0, "what does not change a sample must not pack it anew"


def test_a_new_video_goes_into_new_shards(out: Path, videos: dict[str, Written]) -> None:
    pack(job_at(out), FAST)
    before = files(out / "shards")
    add_video(out, videos["three"].path, some_clips("three"), some_anchors("three", [0]))
    summary = pack(job_at(out), FAST)
    assert (summary.done, summary.skipped) == (3, 6)
    after = files(out / "shards")
    assert {name: content for name, content in after.items() if name in before and name != "index.parquet"} == {
        k: v for k, v in before.items() if k != "index.parquet"
    }
    assert len(after) > len(before)
    assert len(streamed(out)) == 9
    assert check(job_at(out)) == []


def test_only_stale_samples_are_made_again(out: Path, videos: dict[str, Written], monkeypatch: pytest.MonkeyPatch) -> None:
    pack(job_at(out), FAST)
    before = streamed(out)
    rows = {row["key"]: row for row in shard_files.read_shard_index(str(out / "shards"))}
    changed = some_clips("two")
    changed[1] |= {"caption": "she smiles"}
    changed[2] |= {"status": "rejected"}
    add_video(out, videos["two"].path, changed, some_anchors("two", videos["two"].pts_ns[::20]))
    made: list[str] = []
    original = pack_clips

    def recorded(uri: str, tasks: Any, options: PackOptions) -> Iterator[Any]:
        made.extend(task.key for task in tasks)
        return original(uri, tasks, options)

    monkeypatch.setattr(pack_job, "pack_clips", recorded)
    summary = pack(job_at(out), FAST)
    assert made == ["two-1"]
    assert (summary.done, summary.skipped) == (1, 4)
    after = streamed(out)
    assert sorted(after) == ["one-0", "one-1", "one-2", "two-0", "two-1"]
    assert after["two-1"].metadata.caption == "she smiles"
    assert {key: sample for key, sample in after.items() if key != "two-1"} == {key: before[key] for key in after if key != "two-1"}
    stale = {rows["two-1"]["shard"], rows["two-2"]["shard"]}
    names = {path.name for path in (out / "shards").iterdir()}
    assert not stale & names, "numbers are never used twice"
    assert {row["shard"] for row in rows.values()} - stale <= names
    assert check(job_at(out)) == []


@pytest.mark.parametrize("emptied", [True, False])
def test_no_name_ever_stands_for_other_bytes(out: Path, videos: dict[str, Written], emptied: bool) -> None:
    """The last shards go stale; what comes next, in the same run or after one that leaves no shard, has other names."""
    pack(job_at(out), FAST)
    known = {path.name for path in (out / "shards").glob("*.tar")}
    changed = [clip | {"caption": "she smiles"} for clip in some_clips("two")]
    if emptied:
        for name in ("one", "two"):
            add_video(out, videos[name].path, [clip | {"status": "rejected"} for clip in some_clips(name)], [])
        assert pack(job_at(out), FAST).counts["shards removed"] == len(known)
        assert shard_files.read_shard_index(str(out / "shards")) == []
        changed = some_clips("two")
    add_video(out, videos["two"].path, changed, some_anchors("two", [0]))
    before = files(out / "shards")
    assert pack(job_at(out), FAST).done == 3
    after = files(out / "shards")
    written = {name for name in after if name.endswith(".tar") and name not in before}
    assert written
    assert not written & known
    assert all(after[name] == before[name] for name in after if name in before and name != "index.parquet")
    assert check(job_at(out)) == []


def test_a_lost_shard_is_made_again(out: Path) -> None:
    pack(job_at(out), FAST)
    before = streamed(out)
    next((out / "shards").glob("*.tar")).unlink()
    assert check(job_at(out)) != []
    assert pack(job_at(out), FAST).done >= 1
    assert streamed(out) == before
    assert check(job_at(out)) == []


def test_an_orphan_is_removed(out: Path) -> None:
    pack(job_at(out), FAST)
    (out / "shards" / "shard-000099.tar").write_bytes(b"half")
    assert check(job_at(out)) == ["shard-000099.tar: is not in the index"]
    assert pack(job_at(out), FAST).counts["shards removed"] == 1
    assert check(job_at(out)) == []


def test_an_index_of_another_release_is_packed_anew(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from schemas.tables import SHARD_INDEX

    with monkeypatch.context() as other:
        other.setattr(shard_files, "SHARD_INDEX", replace(SHARD_INDEX, version=SHARD_INDEX.version + 1))
        pack(job_at(out), FAST)
    names = {path.name for path in (out / "shards").glob("*.tar")}
    assert any("upgrade gloria-anchors" in problem for problem in check(job_at(out)))
    assert pack(job_at(out), FAST).done == 6
    assert not names & {path.name for path in (out / "shards").iterdir()}, "numbers are never used twice"
    assert check(job_at(out)) == []


def test_the_shards_do_not_depend_on_workers_or_chunks(out: Path, tmp_path_factory: pytest.TempPathFactory, videos: dict[str, Written]) -> None:
    pack(job_at(out), FAST)
    other = tmp_path_factory.mktemp("other")
    for name in ("two", "one"):
        add_video(other, videos[name].path, list(reversed(some_clips(name))), list(reversed(some_anchors(name, videos[name].pts_ns[::20]))))
    chunked = PackOptions(preset="ultrafast", shard_bytes=40_000, chunk_seconds=1.0)
    pack(job_at(other), chunked)
    assert {name: content for name, content in files(out / "shards").items() if name.endswith(".tar")} == {
        name: content for name, content in files(other / "shards").items() if name.endswith(".tar")
    }
    assert shard_files.read_shard_index(str(out / "shards")) == shard_files.read_shard_index(str(other / "shards"))


KILLED = """
    import os, sys
    from pathlib import Path
    from jobs import pack as pack_job
    from pipeline import storage
    from tests.jobs.pack_root import job_at
    from tests.jobs.test_pack import FAST
    left = int(sys.argv[2])
    original = storage.write_atomic
    def counted(uri, content):
        global left
        original(uri, content)
        left -= 1
        if not left:
            os._exit(9)
    storage.write_atomic = counted
    pack_job.pack(job_at(Path(sys.argv[1])), FAST)
"""


@pytest.mark.parametrize("writes", [2, 6, 7, 8])
def test_a_killed_job_ends_with_the_same_files(out: Path, writes: int, tmp_path_factory: pytest.TempPathFactory, videos: dict[str, Written]) -> None:
    """Killed while staging (2), before the first shard (6), between shards (7, 8)."""
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), str(out), str(writes)], cwd=Path(__file__).parents[2], env=os.environ, check=False)
    assert killed.returncode == 9
    assert not (out / "shards" / "index.parquet").exists()
    pack(job_at(out), FAST)
    whole = tmp_path_factory.mktemp("whole")
    for name in ("one", "two"):
        add_video(whole, videos[name].path, some_clips(name), some_anchors(name, videos[name].pts_ns[::20]))
    pack(job_at(whole), FAST)
    assert files(out / "shards") == files(whole / "shards")
    assert sorted(path.name for path in (out / "shards").iterdir()) == sorted(path.name for path in (whole / "shards").iterdir())


def test_what_was_staged_is_not_made_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(shards: str, plan: Any) -> int:
        raise InputError(FailureKind.STORAGE, f"no space left for {plan.name} in {shards}")

    with monkeypatch.context() as broken:
        broken.setattr(shard_files, "write_shard", full)
        with pytest.raises(InputError, match="no space left"):
            pack(job_at(out), FAST)
    assert not (out / "shards" / "index.parquet").exists()
    monkeypatch.setattr(pack_job, "pack_clips", _never)
    assert pack(job_at(out), FAST).done == 6
    assert check(job_at(out)) == []


@pytest.fixture
def unjudged(tmp_path: Path, videos: dict[str, Written]) -> Path:
    """As ``out``, but no judge has seen the anchors of the second video yet, which are counted in its clips."""
    add_video(tmp_path, videos["one"].path, some_clips("one"), some_anchors("one", videos["one"].pts_ns[::20]))
    pending(tmp_path, videos)
    return tmp_path


def pending(out: Path, videos: dict[str, Written], caption: str | None = None, **changes: Any) -> None:
    """The second video's rows: anchors as they are without a judge, apart from the changes; the caption is its first clip's."""
    clips = [clip | {"anchors_outside": 1} for clip in some_clips("two")]
    clips[0]["caption"] = caption
    anchors = some_anchors("two", videos["two"].pts_ns[::20])
    add_video(out, videos["two"].path, clips, [anchor | {"status": "pending", "reason": "not_asked", "decision": "pending"} | changes for anchor in anchors])


def test_clips_whose_anchors_nobody_judged_wait_and_that_is_said(unjudged: Path) -> None:
    said = io.StringIO()
    job = Job(str(unjudged), EngineOptions(engine="local"), Progress(Console(file=said)))
    summary = pack(job, FAST)
    assert (summary.done, summary.skipped, summary.failed, summary.counts["clips waiting for a judge"]) == (3, 0, 0, 3)
    assert "3 clips wait for judged anchors: refine asks a judge about them, --pack.include-pending packs them as they are" in said.getvalue()
    assert sorted(streamed(unjudged)) == ["one-0", "one-1", "one-2"]
    assert check(job) == []
    assert "without 3 clips whose anchors no judge has seen" in said.getvalue()


def test_pending_anchors_that_are_let_in_and_confirmed_later_are_packed_once(unjudged: Path, videos: dict[str, Written]) -> None:
    let_in = replace(FAST, include_pending=True)
    summary = pack(job_at(unjudged), let_in)
    assert (summary.done, summary.counts["clips waiting for a judge"]) == (6, 0)
    assert all(sample.metadata.anchors for sample in streamed(unjudged).values())
    assert check(job_at(unjudged)) == []
    before = files(unjudged / "shards")
    pending(unjudged, videos, status="accepted", reason=None, decision="accept")
    for options in (let_in, FAST):
        assert (pack(job_at(unjudged), options).done, files(unjudged / "shards")) == (0, before)
    assert check(job_at(unjudged)) == []


def test_shards_with_pending_anchors_go_when_these_are_no_longer_let_in(unjudged: Path) -> None:
    pack(job_at(unjudged), replace(FAST, include_pending=True))
    assert (summary := pack(job_at(unjudged), FAST)).done == 0
    assert summary.counts["clips waiting for a judge"] == 3
    assert sorted(streamed(unjudged)) == ["one-0", "one-1", "one-2"]
    assert check(job_at(unjudged)) == []


def test_a_caption_packs_its_clip_anew_and_no_other(unjudged: Path, videos: dict[str, Written]) -> None:
    let_in = replace(FAST, include_pending=True)
    pack(job_at(unjudged), let_in)
    before = streamed(unjudged)
    pending(unjudged, videos, caption="A woman reads a letter at a window.", status="accepted", reason=None, decision="accept")
    assert pack(job_at(unjudged), FAST).done == 1
    after = streamed(unjudged)
    assert after["two-0"].metadata.caption == "A woman reads a letter at a window."
    assert {key: sample for key, sample in after.items() if key != "two-0"} == {key: sample for key, sample in before.items() if key != "two-0"}
    assert check(job_at(unjudged)) == []


def _never(*_: Any) -> Iterator[Any]:
    raise AssertionError("was staged already")


def failures(out: Path) -> dict[str, Mapping[str, Any]]:
    return {row["source"]: row for row in parts.read_parts(str(out), FAILURES).to_pylist(maps_as_pydicts="strict")}


def test_a_video_that_is_gone_fails_its_clips_alone(out: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "gone.mp4", Kind.CONSTANT, frames=60)
    video_id = add_video(out, video.path, some_clips("gone", 2), [])
    video.path.rename(tmp_path / "elsewhere.mp4")
    summary = pack(job_at(out), FAST)
    assert (summary.done, summary.failed) == (6, 2)
    rows = failures(out)
    assert sorted(rows) == ["gone-0", "gone-1"]
    assert rows["gone-0"]["stage"] == "pack"
    assert (rows["gone-0"]["kind"], rows["gone-0"]["attempt"], rows["gone-0"]["video_id"]) == ("not_found", 1, video_id)
    assert check(job_at(out)) == []
    again = pack(job_at(out), FAST)
    assert (again.done, again.skipped, again.failed) == (0, 6, 2)
    assert failures(out)["gone-0"]["attempt"] == 2
    (tmp_path / "elsewhere.mp4").rename(video.path)
    assert pack(job_at(out), FAST).done == 2
    assert failures(out) == {}
    assert len(streamed(out)) == 8


def test_failures_of_clips_that_are_no_longer_wanted_go(out: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "gone.mp4", Kind.CONSTANT, frames=60)
    add_video(out, video.path, some_clips("gone", 1), [])
    content = video.path.read_bytes()
    video.path.unlink()
    pack(job_at(out), FAST)
    assert sorted(failures(out)) == ["gone-0"]
    video.path.write_bytes(content)
    add_video(out, video.path, [some_clips("gone", 1)[0] | {"status": "rejected"}], [])
    pack(job_at(out), FAST)
    assert failures(out) == {}


def test_a_clip_that_kills_its_worker_does_not_cost_its_neighbours(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original: Callable[[Any, Any], Any] = pack_job.PackWork.__call__

    def fragile(self: pack_job.PackWork, unit: pack_job.PackUnit) -> Any:
        if any(task.key == "two-1" for task in unit.tasks):
            raise InputError(FailureKind.WORKER_DIED, "the worker died")
        return original(self, unit)

    monkeypatch.setattr(pack_job.PackWork, "__call__", fragile)
    summary = pack(job_at(out), FAST)
    assert (summary.done, summary.failed) == (5, 1)
    assert {key: row["kind"] for key, row in failures(out).items()} == {"two-1": "worker_died"}
    assert check(job_at(out)) == []


def test_an_output_root_without_clips_gets_an_empty_index(tmp_path: Path) -> None:
    summary = pack(job_at(tmp_path), FAST)
    assert (summary.done, summary.skipped, summary.failed) == (0, 0, 0)
    assert shard_files.read_shard_index(str(tmp_path / "shards")) == []
    assert (tmp_path / "shards" / "index.parquet").exists()
    assert check(job_at(tmp_path)) == []


def test_an_output_root_behind_a_url_gets_the_same_shards(out: Path, videos: dict[str, Written]) -> None:
    pack(job_at(out), FAST)
    memory = fsspec.filesystem("memory")
    for name in ("one", "two"):
        add_video("memory://packed", videos[name].path, some_clips(name), some_anchors(name, videos[name].pts_ns[::20]))
    pack(job_at("memory://packed"), FAST)
    assert {name.removeprefix("/packed/shards/"): memory.cat(name) for name in memory.find("/packed/shards")} == files(out / "shards")
    assert check(job_at("memory://packed")) == []
    memory.rm("/packed", recursive=True)


def test_ray_workers_make_the_same_shards(out: Path, tmp_path_factory: pytest.TempPathFactory, videos: dict[str, Written]) -> None:
    pack(job_at(out, EngineOptions(engine="ray", workers=2)), FAST)
    here = tmp_path_factory.mktemp("here")
    for name in ("one", "two"):
        add_video(here, videos[name].path, some_clips(name), some_anchors(name, videos[name].pts_ns[::20]))
    pack(job_at(here), FAST)
    assert files(out / "shards") == files(here / "shards")
    assert check(job_at(out, EngineOptions(engine="ray", workers=2))) == []
