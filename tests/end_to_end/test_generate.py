"""``python -m model`` through the real command line: what a user types, what a user sees."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from model.__main__ import main
from model.attention_log import NAME, ChunkAttention, append
from tests.end_to_end.outputs import ROOT

SMALL = ["--threads", "1", "--size.width", "32", "--size.height", "16", "--size.chunk-latents", "4", "--sampling.steps", "1"]


@dataclass(frozen=True)
class Done:
    returncode: int
    stderr: str


def model(*arguments: object) -> Done:
    """The command line, in this process: importing torch takes longer than all that is done here."""
    err = io.StringIO()
    with redirect_stderr(err):
        code = main([*map(str, arguments)])
    return Done(code, err.getvalue())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, a folder of anchors, a prompt schedule, a sound, a picture."""
    folder = tmp_path_factory.mktemp("inputs")
    done = model("init", "--out", folder / "checkpoint")
    assert done.returncode == 0, done.stderr
    (folder / "anchors").mkdir()
    for name in ("global", "viewpoint-left", "expression-happy"):
        Image.new("RGB", (64, 32), "red").save(folder / "anchors" / f"{name}.png")
    Image.new("RGB", (64, 32), "blue").save(folder / "first.png")
    (folder / "prompts.yaml").write_text("- {from: 0, to: 1, prompt: she looks up}\n- {from: 1, prompt: she smiles}\n")
    soundfile.write(folder / "sound.wav", np.zeros(48_000, np.float32), 16_000)
    return folder


def generate(inputs: Path, out: Path, *more: object) -> Done:
    return model("generate", "--checkpoint", inputs / "checkpoint", "--out", out, *SMALL, *more)


def test_everything_at_once_and_gone_on_with_after_a_kill(inputs: Path, tmp_path: Path) -> None:
    words = ["--anchors", inputs / "anchors", "--prompt", inputs / "prompts.yaml", "--audio", inputs / "sound.wav", "--image", inputs / "first.png"]
    options = [*words, "--sampling.guidance", 3, "--record-attention"]
    whole, killed = tmp_path / "whole.mp4", tmp_path / "killed.mp4"
    done = generate(inputs, whole, *options)
    assert done.returncode == 0, done.stderr
    with av.open(str(whole)) as container:
        assert [round(frame.time * 16, 6) for frame in container.decode(video=0)] == list(range(48))
        assert container.streams.audio[0].codec_context.name == "aac"
    log = [json.loads(line) for line in (tmp_path / "whole.mp4.state" / "chunks.jsonl").read_text().splitlines()]
    assert [line["prompt"] for line in log][:2] == ["she looks up", "she looks up"]
    assert log[-1]["prompt"] == "she smiles"
    assert log[-1]["frames_written"] == 48

    command = [sys.executable, "-m", "model", "generate", "--checkpoint", inputs / "checkpoint", "--out", killed, *SMALL, *options]
    process = subprocess.Popen([*map(str, command)], cwd=ROOT, env={**os.environ}, stderr=subprocess.DEVNULL)
    chunks = tmp_path / "killed.mp4.state" / "chunks.jsonl"
    while process.poll() is None and (not chunks.exists() or chunks.read_text().count("\n") < 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = generate(inputs, killed, *options)
    assert done.returncode == 0, done.stderr
    assert killed.read_bytes() == whole.read_bytes()
    assert "finished already" in generate(inputs, killed, *options).stderr
    assert (tmp_path / "killed.mp4.state" / "attention.jsonl").read_text() == (tmp_path / "whole.mp4.state" / "attention.jsonl").read_text()

    changed = generate(inputs, killed, *options, "--sampling.seed", 5)
    assert changed.returncode == 1
    assert "seed: 0, now 5" in changed.stderr

    drawn = model("attention", tmp_path / "whole.mp4.state", "--out", tmp_path / "attention.png")
    assert drawn.returncode == 0, drawn.stderr
    assert Image.open(tmp_path / "attention.png").width > 400


def test_the_same_seed_gives_the_same_video_and_another_another(inputs: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        done = generate(inputs, tmp_path / f"{name}.mp4", "--prompt", "a walk", "--size.seconds", 1, "--sampling.seed", seed)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "same.mp4").read_bytes()
    assert (tmp_path / "one.mp4").read_bytes() != (tmp_path / "other.mp4").read_bytes()


def picture(path: Path, width: int, height: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)
    return path.parent


def silent_film(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(32, 32, "rgb24")))
        container.mux(stream.encode(None))
    return path


def schedule(path: Path) -> Path:
    path.write_text("- {from: 0, to: 1, prompt: a}\n- {from: 2, prompt: b}\n")
    return path


SECONDS = ["--size.seconds", "1"]
WRONG: dict[str, tuple[Callable[[Path], list[object]], str, str]] = {
    "anchors of another shape": (lambda folder: [*SECONDS, "--anchors", picture(folder / "a" / "global.png", 16, 320)], "global.png", "16x320"),
    "a class not in the vocabulary": (
        lambda folder: [*SECONDS, "--anchors", picture(folder / "a" / "viewpoint-above.png", 64, 32)],
        "above",
        "viewpoint-back",
    ),
    "no anchors": (lambda folder: [*SECONDS, "--anchors", folder], "no anchor", "global"),
    "no audio stream": (lambda folder: ["--audio", silent_film(folder / "film.mp4")], "film.mp4", "no audio stream"),
    "a checkpoint of another preset": (lambda _: [*SECONDS, "--preset", "wan2_1_t2v_1_3b"], "tiny", "num_layers 4 instead of 30"),
    "a preset that there is not": (lambda _: [*SECONDS, "--preset", "wan3"], "wan3", "wan2_1_t2v_1_3b"),
    "a schedule with a gap": (lambda folder: [*SECONDS, "--prompt", schedule(folder / "p.yaml")], "entry 2", "gap"),
    "no length": (lambda _: [], "--size.seconds", "--audio"),
    "a width that does not divide": (lambda _: [*SECONDS, "--size.width", "30"], "width 30", "28 or 32"),
    "a chunk among the anchors": (lambda _: [*SECONDS, "--size.chunk-latents", "40"], "40 latents", "32"),
    "no picture": (lambda folder: [*SECONDS, "--image", schedule(folder / "p.yaml")], "p.yaml", "JPEG"),
    "no checkpoint": (lambda folder: [*SECONDS, "--checkpoint", folder], "model_index.json", "python -m model init"),
    "attention to nothing": (lambda _: [*SECONDS, "--record-attention"], "--record-attention", "--anchors"),
}
"""What is given, and two parts of the one sentence that answers."""


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_gets_a_clear_sentence(name: str, inputs: Path, tmp_path: Path) -> None:
    more, first, second = WRONG[name]
    done = generate(inputs, tmp_path / "out.mp4", "--prompt", "a walk", *more(tmp_path))
    assert done.returncode == 1
    assert first in done.stderr
    assert second in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("out", [".", "transformer", "model_index.json", "model_index.json/new"])
@pytest.mark.parametrize("command", ["init", "init stock", "export"])
def test_nothing_is_written_over(command: str, out: str, inputs: Path) -> None:
    checkpoint = inputs / "checkpoint"
    more = {"init": [], "init stock": ["--stock", checkpoint], "export": ["--checkpoint", checkpoint]}[command]
    before = contents(checkpoint)
    done = model(command.split()[0], "--out", checkpoint / out, *more)
    assert done.returncode == 1
    assert str(checkpoint / out) in done.stderr
    assert "choose another" in done.stderr
    assert contents(checkpoint) == before


def test_a_command_that_fails_leaves_no_folder(inputs: Path, tmp_path: Path) -> None:
    for command in (["init", "--stock", inputs / "anchors"], ["init", "--preset", "wan3"], ["export", "--checkpoint", inputs / "anchors"]):
        done = model(*command, "--out", tmp_path / "a" / "b")
        assert done.returncode == 1
        assert not (tmp_path / "a").exists()


def test_only_generate_speaks_of_chunks_when_stopped(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("model.create.create", stopped)
    monkeypatch.setattr("model.generate.run.generate", stopped)
    done = model("init", "--out", tmp_path / "checkpoint")
    assert (done.returncode, done.stderr) == (130, "stopped\n")
    done = generate(inputs, tmp_path / "out.mp4", "--prompt", "a walk")
    assert done.returncode == 130
    assert "the same command goes on" in done.stderr


def test_the_picture_of_attention_lies_where_it_is_wanted(tmp_path: Path) -> None:
    attention = ChunkAttention(0, 0, [0.03, 0.2], ["global"], [[0.2], [0.3]], [0.8, 0.7])
    append(tmp_path / NAME, attention)
    done = model("attention", tmp_path, "--out", tmp_path / "new" / "folder" / "attention.png")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "new" / "folder" / "attention.png").width > 400
    for out in (tmp_path, tmp_path / NAME / "attention.png"):
        done = model("attention", tmp_path, "--out", out)
        assert done.returncode == 1
        assert "choose another file with --out" in done.stderr
    assert model("attention", tmp_path / "nowhere" / NAME).returncode == 1
    assert not (tmp_path / "nowhere").exists()
