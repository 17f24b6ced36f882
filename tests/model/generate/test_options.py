"""Every option says what it is; what cannot be is refused before anything is read."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import tyro

from model.__main__ import main
from model.errors import ModelInputError
from model.generate.options import COMMANDS, Generate, Init, RecordingOptions, Sampling, Speed
from model.generate.recording import Recording
from tests.end_to_end.outputs import ROOT


def parsed(name: str, *arguments: str) -> Any:
    return tyro.cli(COMMANDS[name], args=list(arguments))


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        parsed(name, "--help")
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tyro._docstrings import get_field_docstring

    help_of(name, capsys)
    kinds = [COMMANDS[name], *(type(field.default_factory()) for field in fields(COMMANDS[name]) if callable(field.default_factory))]
    for kind in filter(is_dataclass, kinds):
        for field in fields(kind):
            if not (callable(field.default_factory) and is_dataclass(field.default_factory)):
                assert get_field_docstring(kind, field.name, ()), f"{kind.__name__}.{field.name}"


def test_units_and_defaults_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    shown = " ".join(help_of("generate", capsys).replace("│", " ").split())
    for part in ("--size.seconds", "seconds; as long as the audio", "pixels", "frames per second", "(default: 2)", "constant rate factor"):
        assert part in shown


def test_paths_prompts_and_groups() -> None:
    more = ["--sampling.guidance-drops", "text", "audio", "--anchor-kinds", "global"]
    chosen = parsed("generate", "--checkpoint", "c", "--out", "o.mp4", "--prompt", "p", *more)
    assert isinstance(chosen, Generate)
    assert chosen.sampling.guidance_drops == ("text", "audio")
    assert chosen.anchor_kinds == ("global",)


@pytest.mark.parametrize("wrong", [["--sampling.sampler", "ddim"], ["--continuation", "both"], ["--sampling.guidance-drops", "picture"], ["--sead", "1"]])
def test_a_word_that_there_is_not_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed("generate", "--checkpoint", "c", "--out", "o.mp4", "--prompt", "p", *wrong)
    assert stopped.value.code == 2


SAID = {
    "--recording.crf 99": "--recording.crf must be 0 to 51, not 99",
    "--recording.keyframe-interval 0": "must be 1 to 100000, not 0",
    "--recording.audio-bits 0": "must be 8000 to 96000, not 0",
    "--sampling.guidance nan": "--sampling.guidance must be at least 0, not nan",
    "--sampling.guidance inf": "not inf",
    "--sampling.guidance -1": "not -1.0",
    "--sampling.seed -1": "--sampling.seed must be at least 0, not -1",
    "--threads 0": "--threads must be at least 1, not 0",
    "--anchors-per-class 0": "--anchors-per-class must be at least 1, not 0",
}


@pytest.mark.parametrize("wrong", SAID)
def test_a_number_that_cannot_be_is_wrong_usage_and_said(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As any other wrong usage: tyro turns what is raised while it builds the options into its own red box."""
    assert stopped_with(["generate", "--checkpoint", "c", "--out", "o.mp4", "--prompt", "p", *wrong.split()]) == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert SAID[wrong] in shown
    assert "Traceback" not in shown


def stopped_with(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as stopped:
        return int(stopped.code or 0)


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: RecordingOptions(preset="nonsense"), "--recording.preset 'nonsense' is none of x264's; take one of ultrafast, "),  # type: ignore[arg-type]
        (lambda: RecordingOptions(crf=-1), "--recording.crf must be 0 to 51, not -1"),
        (lambda: Sampling(guidance=float("-inf")), "--sampling.guidance must be at least 0, not -inf"),
        (lambda: Init(out=Path("x"), seed=-1), "--seed must be 0 to "),
    ],
)
def test_who_builds_options_is_told(build: Callable[[], Any], said: str) -> None:
    with pytest.raises(ModelInputError, match=said):
        build()


def test_every_preset_of_x264_can_code(tmp_path: Path) -> None:
    for preset in get_args(Speed):
        with Recording(tmp_path / f"{preset}.mp4", 32, 32, Fraction(16), RecordingOptions(preset=preset)) as recording:
            recording.append(torch.zeros(2, 32, 32, 3, dtype=torch.uint8))
            assert recording.bytes_written


def test_paths_are_shown_as_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of("generate", capsys) + help_of("init", capsys) + help_of("attention", capsys)
    for option in ("--checkpoint FOLDER", "--anchors FOLDER|FILE", "--image FILE", "--audio FILE", "--stock FOLDER", "--out FILE"):
        assert f"{option} " in shown
    assert "PATH" not in shown


def test_help_does_not_wait_for_torch() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, model.__main__; print('torch' in sys.modules)"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"
