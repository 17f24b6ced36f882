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
from model.generate.prepare import Setting, check_out, choose_device, prepare, settings


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
    base = settings(chosen, prepared(chosen))
    same = replace(chosen, out=tmp_path / "y.mp4", restart=True, record_attention=True, preset="tiny")
    assert settings(same, prepared(same)) == base
    for change in ({"prompt": "a run"}, {"sampling": Sampling(seed=1)}, {"continuation": "frames"}, {"threads": 2}):
        other = replace(chosen, **change)
        assert settings(other, prepared(other)) != base


def test_the_same_prompt_from_a_file_is_the_same(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("- {from: 0, prompt: a walk}\n")
    chosen, filed = options(checkpoint), options(checkpoint, prompt=str(tmp_path / "p.yaml"))
    assert settings(chosen, prepared(chosen)) == settings(filed, prepared(filed))


@pytest.mark.parametrize("change", [{"sampling": Sampling(steps=0)}, {"size": Size(seconds=1, frame_rate=0)}, {"size": Size(seconds=1, chunk_latents=0)}])
def test_nothing_is_not_the_same_as_left_out(checkpoint: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ModelInputError):
        prepared(options(checkpoint, **change))


def test_no_such_device() -> None:
    with pytest.raises(ModelInputError, match="--device cuda:9"):
        choose_device("cuda:9")


def test_settings_know_pictures_by_what_they_show(checkpoint: Path, tmp_path: Path) -> None:
    for folder, colour in (("one", "red"), ("same", "red"), ("other", "green")):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (64, 32), colour).save(tmp_path / folder / "global.png")
    (tmp_path / "same" / "notes.txt").write_text("no picture")
    one, same, other = (options(checkpoint, anchors=tmp_path / name) for name in ("one", "same", "other"))
    assert settings(one, prepared(one)) == settings(same, prepared(same)) != settings(other, prepared(other))


def test_what_is_said_and_what_is_left_out_are_the_same(checkpoint: Path) -> None:
    left_out, said = options(checkpoint), options(checkpoint, sampling=Sampling(shift=3.0, steps=8, sampler="unipc"), device="cpu", dtype="float32")
    assert settings(left_out, prepared(left_out)) == settings(said, prepared(said))


def test_a_prompt_that_no_chunk_begins_in_is_told(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("- {from: 0, to: 5.1, prompt: A}\n- {from: 5.1, to: 6, prompt: B}\n- {from: 6, prompt: C}\n")
    console = Console(record=True, width=300, file=(tmp_path / "out.txt").open("w"))
    prepared(options(checkpoint, prompt=str(tmp_path / "p.yaml"), size=Size(seconds=20)), console)
    told = console.export_text()
    assert "the prompt from 5.1 s is never used" in told
    assert "begin at 9.8125" in told
    assert "from 6 s" not in told


@pytest.mark.parametrize(
    ("name", "part"), [("x.mov", "ends in .mp4"), ("folder.mp4", "is a folder"), ("file/x.mp4", "cannot be made"), ("mine.mp4", "is there already")]
)
def test_where_no_video_can_be_written(name: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "mine.mp4").write_text("")
    with pytest.raises(ModelInputError, match=part):
        check_out(tmp_path / name, restart=False)


def test_a_video_is_replaced_when_told_to(tmp_path: Path) -> None:
    (tmp_path / "mine.mp4").write_text("")
    check_out(tmp_path / "mine.mp4", restart=True)
    check_out(tmp_path / "new" / "folder" / "x.mp4", restart=False)
    assert (tmp_path / "new" / "folder").is_dir()
