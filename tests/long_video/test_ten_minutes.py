"""Ten minutes of video through the real command line, killed and gone on with. Run by ``make test-long-video``; a few minutes on two cores."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.long_video import CLICK_SECONDS, FRAME_RATE, ROOT, chunk_log, generate_command, growth, make_inputs

pytestmark = pytest.mark.timeout(1500)

SECONDS = 600
FRAMES = SECONDS * FRAME_RATE
LATEST_START = 0.005
"""Seconds that a click may be off: a third of what one frame of AAC at 16 kHz is wide would be heard by nobody."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("long")
    make_inputs(folder, SECONDS)
    return folder


@pytest.fixture(scope="module")
def video(folder: Path) -> Path:
    """Made in one go."""
    out = folder / "whole.mp4"
    subprocess.run(generate_command(folder, out, SECONDS), cwd=ROOT, check=True)
    return out


def frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """Presentation time (in frames) and decoded bytes of every frame."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert frame.pts is not None
            assert frame.time_base is not None
            place = frame.pts * frame.time_base * FRAME_RATE
            assert place.denominator == 1
            yield int(place), frame.to_ndarray(format="rgb24").tobytes()


def digest(path: Path) -> str:
    whole = sha256()
    for _, picture in frames(path):
        whole.update(picture)
    return whole.hexdigest()


def test_frames_and_duration_are_exact(video: Path) -> None:
    assert [place for place, _ in frames(video)] == list(range(FRAMES))
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        assert stream.duration is not None
        assert stream.duration * stream.time_base == SECONDS
        assert stream.average_rate == FRAME_RATE


def test_sound_is_in_step_to_the_end(video: Path) -> None:
    with av.open(str(video)) as container:
        resampler = av.AudioResampler("flt", "mono", 16_000)
        parts = [(part.pts, part.to_ndarray()[0]) for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    start = parts[0][0]
    sound = np.concatenate([samples for _, samples in parts])
    assert start is not None
    loud = np.abs(sound) > 0.1
    starts = np.flatnonzero(loud & ~np.concatenate([[False], loud[:-1]]))
    clicks = [starts[0], *(now for before, now in pairwise(starts) if now - before > 4 * CLICK_SECONDS * 16_000)]
    times = (np.array(clicks) + start) / 16_000
    assert len(times) == SECONDS
    assert np.abs(times - np.arange(SECONDS)).max() < LATEST_START
    assert abs(len(sound) / 16_000 - SECONDS) < 0.07  # one AAC frame


def test_memory_does_not_grow(video: Path) -> None:
    found = growth(chunk_log(video), 0)
    print(
        f"\nmemory {found.first_mib:.0f} to {found.last_mib:.0f} MiB ({found.memory_ratio:.3f}), chunk {found.first_seconds:.2f} to {found.last_seconds:.2f} s"
    )
    assert found.memory_ratio < 1.05


def test_killed_at_a_random_chunk_and_gone_on_with_gives_the_same_frames(folder: Path, video: Path) -> None:
    out = folder / "killed.mp4"
    log = out.with_name(out.name + ".state") / "chunks.jsonl"
    draw = random.Random(20261123)
    last = len(chunk_log(video))
    for target in sorted(draw.sample(range(3, last - 3), 2)):
        process = subprocess.Popen(generate_command(folder, out, SECONDS), cwd=ROOT)
        while process.poll() is None and (not log.exists() or log.read_text().count("\n") < target):
            time.sleep(0.02)
        time.sleep(draw.random())  # somewhere within the chunk
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
        assert json.loads(log.read_text().splitlines()[target - 1])["chunk"] == target - 1
    subprocess.run(generate_command(folder, out, SECONDS), cwd=ROOT, check=True)
    assert digest(out) == digest(video)
