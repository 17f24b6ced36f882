from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any, get_type_hints

import pytest
import tyro

from schemas.vocabulary import AnchorKind
from training.options import SupersetOptions, TrainingOptions, anchor_kinds


def leaves(options: type[Any], prefix: str = "") -> list[str]:
    hints = get_type_hints(options)
    found: list[str] = []
    for field in fields(options):
        kind = hints[field.name]
        found += leaves(kind, f"{prefix}{field.name}.") if isinstance(kind, type) and is_dataclass(kind) else [f"{prefix}{field.name}"]
    return found


def test_help_says_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        tyro.cli(TrainingOptions, args=["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    names = leaves(TrainingOptions)
    assert len(names) > 50
    assert not [name for name in names if name.replace("_", "-").rpartition(".")[2] not in told]


def test_none_can_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        TrainingOptions(("a",), "b", "c").steps = 3  # type: ignore[misc]


def test_kinds_are_read_by_their_words() -> None:
    assert anchor_kinds(SupersetOptions()) == {AnchorKind.GLOBAL, AnchorKind.VIEWPOINT, AnchorKind.EXPRESSION}
    assert anchor_kinds(SupersetOptions(kinds=("global",))) == {AnchorKind.GLOBAL}
    assert anchor_kinds(SupersetOptions(kinds=())) == frozenset()
