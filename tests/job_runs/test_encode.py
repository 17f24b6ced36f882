"""``encode`` through the real command line: killed, gone on with by workers of a cluster, and read by the trainer."""

import json
import signal
import subprocess
import time
from pathlib import Path

from jobs import parts
from jobs.__main__ import main
from schemas.tables import FAILURES
from tests.end_to_end.outputs import ROOT, command, environment, run
from tests.jobs.encode_root import PER_SHARD, some_samples, write_checkpoint, write_shards
from tests.jobs.pack_root import files
from training.data.index import read_index

SAMPLES = 24
AREA = "768"


def test_a_killed_job_goes_on_on_a_cluster_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    samples = some_samples(SAMPLES)
    damaged = samples[5].metadata.clip_id
    rows = write_shards(tmp_path / "packed" / "shards", samples)
    (row,) = [row for row in rows if row["key"] == damaged]
    shard = tmp_path / "packed" / "shards" / row["shard"]
    content = bytearray(shard.read_bytes())
    content[row["member_offsets"][1] + 500] ^= 0xFF
    shard.write_bytes(content)
    checkpoint = write_checkpoint(tmp_path / "tiny")
    arguments = ["encode", "--shards", tmp_path / "packed", "--checkpoint", checkpoint, "--area", AREA, "--shard-bytes", 3 * PER_SHARD, "--device", "cpu"]

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    job = subprocess.Popen(command(*arguments, "--out", killed, "--engine.engine", "local"), cwd=ROOT, env=environment(), start_new_session=True)
    staging = killed / "shards" / ".staging"
    deadline = time.monotonic() + 120
    while len(list(staging.glob("*.tar"))) < 2 and job.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    job.send_signal(signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    assert 2 <= len(list(staging.glob("*.tar"))) < SAMPLES - 1
    assert not (killed / "shards" / "index.parquet").exists()

    said = run(*arguments, "--out", killed, "--engine.engine", "ray", "--engine.workers", 2)
    assert f"encode failed: {damaged}" in said
    assert main([*map(str, arguments), "--out", str(whole), "--engine.engine", "local"]) == 0
    assert files(killed / "shards") == files(whole / "shards")
    assert [failure["source"] for failure in parts.read_parts(str(killed), FAILURES).to_pylist()] == [damaged]

    record = json.loads((killed / "run.json").read_text())
    assert (record["command"], record["status"]) == ("encode", "finished")
    assert {name: record["stages"]["encode"][name] for name in ("done", "skipped", "failed")} == {"done": SAMPLES - 1, "skipped": 0, "failed": 1}
    assert record["models"]["codec"] == record["provenance"]["encode"]["models"]["codec"]
    assert main(["pack", "--check", "--out", str(killed), "--engine.engine", "local"]) == 0

    index = read_index([str(killed / "shards")])
    assert len(index) == SAMPLES - 1
    assert index.has_latents.all()
    assert index.has_pixels.all()
    assert index.latents_key is not None
    assert (index.latents_key.codec, index.latents_key.area) == (record["models"]["codec"], int(AREA))
