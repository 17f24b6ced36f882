"""``ray start --head`` and ``ray job submit --working-dir .`` leave the same tables as a run in one process. Run by ``make test-cluster``."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.assets import fetch
from tests.end_to_end.outputs import OBSERVE, ROOT, SMALL, environment, names, run, shard_hashes, tables

RAY = str(Path(sys.executable).with_name("ray"))
HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def cluster_environment() -> dict[str, str]:
    """Whatever the user's own Ray is set to: no token, no address."""
    return environment() | {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Cluster:
    dashboard: str
    """to submit to"""
    head: str
    """to connect to"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A cluster of two CPUs."""
    port, dashboard_port = free_port(), free_port()
    ports = [f"--port={port}", f"--dashboard-port={dashboard_port}", f"--ray-client-server-port={free_port()}"]
    start = [RAY, "start", "--head", "--block", f"--node-ip-address={HOST}", f"--dashboard-host={HOST}", "--num-cpus=2", *ports]
    address = f"http://{HOST}:{dashboard_port}"
    with subprocess.Popen(start, env=cluster_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as head:
        try:
            wait_until_up(address, head)
            yield Cluster(address, f"{HOST}:{port}")
        finally:
            head.terminate()
            head.wait(timeout=60)


def wait_until_up(address: str, head: "subprocess.Popen[bytes]", seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert head.poll() is None, "ray start ended"
        try:
            with urllib.request.urlopen(f"{address}/api/jobs/", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise AssertionError(f"no dashboard at {address} after {seconds} s")


def submit(address: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    entrypoint = [sys.executable, "-m", "jobs", *map(str, arguments)]
    submitted = [RAY, "job", "submit", f"--address={address}", "--working-dir", ".", "--", *entrypoint]
    return subprocess.run(submitted, cwd=ROOT, env=cluster_environment(), capture_output=True, text=True, timeout=400)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for name in ("cry_to_laugh", "single_face", "no_face"):
        shutil.copy(fetch(name), folder / f"{name}.mp4")
    (folder / "letter.mp4").write_text("Dear reader, this is not a video.")
    return folder


@pytest.mark.timeout(600)
def test_a_submitted_job_leaves_what_a_local_run_leaves(cluster: Cluster, videos: Path, tmp_path: Path) -> None:
    arguments = ["run", "--videos", videos, *SMALL]
    ended = submit(cluster.dashboard, *arguments, "--out", tmp_path / "cluster")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for words in ("observe: ", "× real time", "the output holds"):  # progress and summary are in the job's log
        assert words in ended.stdout
    run(*arguments, "--out", tmp_path / "local", "--engine.engine", "local")
    assert names(tmp_path / "cluster") == names(tmp_path / "local")
    expected, found = tables(tmp_path / "local"), tables(tmp_path / "cluster")
    for table, rows in expected.items():
        assert rows or table == "verdicts", table  # there is no judge
        assert found[table] == rows, table
    assert shard_hashes(tmp_path / "cluster") == shard_hashes(tmp_path / "local")


@pytest.mark.timeout(300)
def test_an_output_that_would_be_lost_with_the_job_is_refused(cluster: Cluster, videos: Path) -> None:
    ended = submit(cluster.dashboard, "run", "--videos", videos, "--out", "out")
    assert ended.returncode != 0
    assert "relative path is lost" in ended.stdout + ended.stderr
    assert not os.path.lexists(ROOT / "out")


@pytest.mark.timeout(300)
def test_a_driver_outside_brings_its_code_along(cluster: Cluster, videos: Path, tmp_path: Path) -> None:
    arguments = ["observe", "--videos", videos / "single_face.mp4", *OBSERVE]
    run(*arguments, "--out", tmp_path / "cluster", "--engine.address", cluster.head)
    run(*arguments, "--out", tmp_path / "local", "--engine.engine", "local")
    assert tables(tmp_path / "cluster") == tables(tmp_path / "local")
