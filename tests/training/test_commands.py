from pathlib import Path
from typing import Any

import pytest
import tyro

from training.commands import COMMANDS, Export, Index


def parsed(name: str, *words: str) -> Any:
    return tyro.cli(COMMANDS[name], args=list(words))


def test_export_takes_the_newest_and_averages_where_there_are_some_unless_told_otherwise() -> None:
    command = parsed("export", "--out", "out", "--to", "to")
    assert isinstance(command, Export)
    assert (command.out, command.to, command.step, command.weights) == (Path("out"), Path("to"), None, None)
    raw = parsed("export", "--out", "out", "--to", "to", "--step", "7", "--weights", "raw")
    assert isinstance(raw, Export)
    assert (raw.step, raw.weights) == (7, "raw")


def test_index_takes_several_tars() -> None:
    command = parsed("index", "--shards", "a.tar", "s3://b/c.tar")
    assert isinstance(command, Index)
    assert (command.shards, command.out) == (("a.tar", "s3://b/c.tar"), None)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_wrong_usage(name: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed(name, "--nothing", "7")
    assert ended.value.code == 2
