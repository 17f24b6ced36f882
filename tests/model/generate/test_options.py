"""Every option says what it is; what cannot be is refused before anything is read."""

import subprocess
import sys
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
import tyro

from model.generate.options import COMMANDS, Generate
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


def test_help_does_not_wait_for_torch() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, model.__main__; print('torch' in sys.modules)"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"
