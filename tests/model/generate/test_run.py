"""What is decided before the first chunk; that videos come out right is tested through the command line, in tests/end_to_end."""

from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from rich.console import Console

from model.create import create_tiny
from model.errors import ModelInputError
from model.generate.options import Generate, Sampling, Size
from model.generate.plan import ChunkPlan
from model.generate.run import Setting, _settings, choose_device, generate, prepare


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    create_tiny(0).save(folder)
    return folder


def options(checkpoint: Path, **changes: Any) -> Generate:
    return Generate(**{"checkpoint": checkpoint, "out": checkpoint / "x.mp4", "prompt": "a walk", "size": Size(seconds=1), "threads": 1, **changes})


def prepared(chosen: Generate, console: Console | None = None) -> Setting:
    with ExitStack() as stack:
        return prepare(chosen, console or Console(quiet=True), stack)


def test_what_is_left_out_is_the_networks_own(checkpoint: Path) -> None:
    setting = prepared(options(checkpoint))
    assert setting.plan == ChunkPlan(total=16, rate=Fraction(16), latents=21, prefix=2)
    assert (setting.sampling.name, setting.sampling.steps, setting.sampling.shift, setting.guidance.scale) == ("unipc", 8, 3.0, 1.0)
    assert setting.device == "cuda" if torch.cuda.is_available() else "cpu"


def test_what_is_chosen_is_taken(checkpoint: Path) -> None:
    sampling = Sampling(sampler="euler", steps=3, shift=2.0, guidance=4.0, guidance_drops=("text", "audio"))
    setting = prepared(options(checkpoint, sampling=sampling, size=Size(seconds=2, frame_rate=8, chunk_latents=5, prefix_latents=1, width=24, height=40)))
    assert setting.plan == ChunkPlan(total=16, rate=Fraction(8), latents=5, prefix=1)
    assert (setting.sampling.name, setting.sampling.steps, setting.sampling.shift) == ("euler", 3, 2.0)
    assert (setting.guidance.scale, setting.guidance.drops) == (4.0, ("text", "audio"))
    assert (setting.width, setting.height) == (24, 40)


def test_the_sound_gives_the_length_and_the_image_the_shape(checkpoint: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "sound.wav", np.zeros(24_000, np.float32), 16_000)
    Image.new("RGB", (96, 32), "red").save(tmp_path / "first.png")
    setting = prepared(options(checkpoint, size=Size(), audio=tmp_path / "sound.wav", image=tmp_path / "first.png"))
    assert setting.plan.total == 24
    assert setting.width / setting.height == pytest.approx(3, rel=0.2)
    assert setting.image is not None
    assert torch.equal(setting.image[:, 0, 0], torch.tensor([1.0, -1.0, -1.0]))


def test_a_sound_that_ends_too_soon_is_said(checkpoint: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "sound.wav", np.zeros(16_000, np.float32), 16_000)
    console = Console(record=True, width=200, quiet=False, file=(tmp_path / "out.txt").open("w"))
    prepared(options(checkpoint, size=Size(seconds=4), audio=tmp_path / "sound.wav"), console)
    assert "ends after 1.0 s" in console.export_text()


def test_settings_are_what_frames_depend_on(checkpoint: Path, tmp_path: Path) -> None:
    chosen = options(checkpoint)
    base = _settings(chosen, prepared(chosen))
    same = replace(chosen, out=tmp_path / "y.mp4", restart=True, record_attention=True, preset="tiny")
    assert _settings(same, prepared(same)) == base
    for change in ({"prompt": "a run"}, {"sampling": Sampling(seed=1)}, {"continuation": "frames"}, {"threads": 2}):
        other = replace(chosen, **change)
        assert _settings(other, prepared(other)) != base


def test_the_same_prompt_from_a_file_is_the_same(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("- {from: 0, prompt: a walk}\n")
    chosen, filed = options(checkpoint), options(checkpoint, prompt=str(tmp_path / "p.yaml"))
    assert _settings(chosen, prepared(chosen)) == _settings(filed, prepared(filed))


def test_two_processes_do_not_make_one_video(checkpoint: Path, tmp_path: Path) -> None:
    from filelock import FileLock

    chosen = options(checkpoint, out=tmp_path / "x.mp4")
    with FileLock(tmp_path / ".x.mp4.lock"), pytest.raises(ModelInputError, match="another process is making"):
        generate(chosen, Console(quiet=True))


@pytest.mark.parametrize("change", [{"sampling": Sampling(steps=0)}, {"size": Size(seconds=1, frame_rate=0)}, {"size": Size(seconds=1, chunk_latents=0)}])
def test_nothing_is_not_the_same_as_left_out(checkpoint: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ModelInputError):
        prepared(options(checkpoint, **change))


def test_no_such_device() -> None:
    with pytest.raises(ModelInputError, match="--device cuda:9"):
        choose_device("cuda:9")
