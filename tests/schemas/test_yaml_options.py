"""A YAML file stands for command-line arguments; what it cannot mean is said with the file, the key and the nearest known one."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tyro

from schemas.yaml_options import OptionsError, with_yaml


@dataclass(frozen=True)
class Inner:
    sample_rate: float = 4.0
    audio: bool = True


@dataclass(frozen=True)
class Command:
    videos: tuple[str, ...]
    out: str
    config: str | None = None
    address: str | None = "auto"
    inner: Inner = field(default_factory=Inner)


def parse(yaml: str, folder: Path, *arguments: str) -> Command:
    (folder / "options.yaml").write_text(yaml)
    return tyro.cli(Command, args=with_yaml(Command, [*arguments, "--config", str(folder / "options.yaml")]))


def test_values_of_every_kind_arrive(tmp_path: Path) -> None:
    yaml = "videos: [a.mp4, b c.mp4]\nout: o\naddress: null\ninner:\n  sample_rate: 2\n  audio: false\n"
    assert parse(yaml, tmp_path) == Command(("a.mp4", "b c.mp4"), "o", str(tmp_path / "options.yaml"), None, Inner(2.0, False))


def test_the_command_line_wins(tmp_path: Path) -> None:
    yaml = "videos: [a.mp4]\nout: o\ninner: {sample-rate: 2, audio: false}\n"
    command = parse(yaml, tmp_path, "--inner.sample-rate", "8", "--videos", "b.mp4", "--inner.audio")
    assert command == Command(("b.mp4",), "o", str(tmp_path / "options.yaml"), "auto", Inner(8.0, True))


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("vidoes: [a.mp4]", r"options\.yaml: there is no option vidoes; did you mean videos\?"),
        ("inner: {sample_rte: 2}", r"there is no option inner\.sample_rte; did you mean inner\.sample_rate\?"),
        ("inner: 3", "inner is a group of options, not the value 3"),
        ("out: {a: 1}", "out is one option, not a group"),
        ("config: other.yaml", "there is no option config"),
        ("- a", "must hold names of options"),
        ("a: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, yaml: str, message: str) -> None:
    with pytest.raises(OptionsError, match=message):
        parse(yaml, tmp_path)


def test_a_value_of_the_wrong_type_is_refused_as_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse("videos: [a]\nout: o\ninner: {sample_rate: fast}", tmp_path)
    assert raised.value.code == 2
    assert "--inner.sample-rate" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_said_so() -> None:
    with pytest.raises(OptionsError, match=r"/nowhere\.yaml: there is no such file"):
        with_yaml(Command, ["--config=/nowhere.yaml"])


def test_without_a_file_the_arguments_stay() -> None:
    assert with_yaml(Command, ["--out", "o"]) == ["--out", "o"]
