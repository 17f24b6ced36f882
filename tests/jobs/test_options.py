"""The command line: every option is explained with its unit and default, and what is wrong is said."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from jobs.__main__ import main, parse
from jobs.options import COMMANDS, Observe, Pack, Run
from schemas.yaml_options import OptionsError

UNITS = {"minutes": "minute", "cpus_per_worker": "CPUs", "gpus_per_worker": "GPUs", "attempts": "starts", "workers": "number", "least_confidence.*": "0..1"}
"""Ends of names of options, as patterns, to the word that their description must hold."""


def leaves(options: type[Any], prefix: str = "") -> list[str]:
    """Every option of a command, nested ones with dots."""
    hints = get_type_hints(options)
    names: list[str] = []
    for field in fields(options):
        nested = hints[field.name]
        names += leaves(nested, f"{prefix}{field.name}.") if isinstance(nested, type) and is_dataclass(nested) else [f"{prefix}{field.name}"]
    return names


def help_of(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "100")  # wider, boxes stand side by side
    with pytest.raises(SystemExit) as raised:
        parse([command, "--help"])
    assert raised.value.code == 0
    return re.sub(r"[│╭╮╰╯─\s]+", " ", capsys.readouterr().out)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "assets"])
def test_every_option_is_in_the_help_with_description_and_default(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    text = help_of(command, capsys, monkeypatch)
    for name in leaves(COMMANDS[command]):
        flag = "--" + name.replace("_", "-")
        found = re.search(rf"{re.escape(flag)}[ ,](.*?)\((default: .*?|required)\)", text)
        assert found, flag
        assert len(re.findall(r"[a-z]{2,}", found[1])) >= 2, f"{flag} has no description: {found[1]!r}"
        for ending, word in UNITS.items():
            assert not re.search(rf"{ending}$", name) or word.lower() in found[1].lower(), f"{flag} does not say its unit: {found[1]!r}"


def test_nested_options_arrive() -> None:
    command = parse(["run", "--videos", "a.mp4", "b", "--out", "o", "--observe.samples-per-second", "2", "--engine.workers", "3", "--pack.no-audio"])
    assert isinstance(command, Run)
    assert (command.videos, command.out, command.segment_minutes) == (("a.mp4", "b"), "o", 10.0)
    assert (command.observe.samples_per_second, command.engine.workers, command.pack.audio) == (2.0, 3, False)


def test_yaml_and_command_line_together(tmp_path: Path) -> None:
    config = tmp_path / "options.yaml"
    config.write_text("videos: [a.mp4]\nout: o\nengine: {workers: 3, timeout_minutes: 5}\nperception: {threads: 2}\n")
    command = parse(["observe", "--config", str(config), "--engine.workers", "8"])
    assert isinstance(command, Observe)
    assert (command.videos, command.engine.workers, command.engine.timeout_minutes, command.perception.threads) == (("a.mp4",), 8, 5.0, 2)


def test_every_option_can_stand_in_a_yaml_file(tmp_path: Path) -> None:
    """Defaults written out and read back are the defaults."""
    from dataclasses import asdict

    import yaml

    command = parse(["pack", "--out", "o"])
    assert isinstance(command, Pack)
    content = {name: value for name, value in asdict(command).items() if name != "config"}
    (tmp_path / "options.yaml").write_text(yaml.safe_dump(content))
    again = parse(["pack", "--config", str(tmp_path / "options.yaml")])
    assert isinstance(again, Pack)
    assert (again.pack, again.engine, again.out, again.check) == (command.pack, command.engine, "o", False)


def test_an_unknown_key_is_named_with_the_nearest_known_one(tmp_path: Path) -> None:
    (tmp_path / "options.yaml").write_text("observe: {sample_per_seconds: 2}\n")
    with pytest.raises(OptionsError, match=r"observe\.sample_per_seconds; did you mean observe\.samples_per_second\?"):
        parse(["run", "--config", str(tmp_path / "options.yaml")])


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["nonsense"], ["run", "--videos", "a", "--out", "o", "--nonsense", "1"], ["run", "--videos", "a", "--out", "o", "--engine.workers", "x"]],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2


def test_a_wrong_yaml_file_ends_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "options.yaml").write_text("outt: o\n")
    assert main(["select", "--config", str(tmp_path / "options.yaml")]) == 2
    assert "did you mean out?" in capsys.readouterr().err


def test_values_out_of_range_end_with_2_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["select", "--out", "o", "--engine.attempts", "0"])
    assert raised.value.code == 2
    said = capsys.readouterr().err
    assert "attempts at least 1" in said
    assert "tyro" not in said


def test_the_help_names_the_commands_and_the_file_of_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    said = capsys.readouterr().out
    assert "--config options.yaml" in said
    assert all(command in said for command in COMMANDS)
