"""The parts of a run that are not seen from outside; the rest is tested through the command line, in tests/end_to_end."""

from pathlib import Path

import pytest
from filelock import FileLock
from rich.console import Console

from model.errors import ModelInputError
from model.generate.options import Generate, Size
from model.generate.run import generate


def test_two_processes_do_not_make_one_video(tmp_path: Path) -> None:
    chosen = Generate(checkpoint=tmp_path / "checkpoint", out=tmp_path / "x.mp4", prompt="a walk", size=Size(seconds=1))
    (tmp_path / "x.mp4.state").mkdir()
    with FileLock(tmp_path / "x.mp4.state" / "lock"), pytest.raises(ModelInputError, match="another process is making"):
        generate(chosen, Console(quiet=True))


def test_somebody_elses_video_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.mp4").write_text("precious")
    with pytest.raises(ModelInputError, match="is there already"):
        generate(Generate(checkpoint=tmp_path / "checkpoint", out=tmp_path / "mine.mp4", prompt="a walk"), Console(quiet=True))
    assert (tmp_path / "mine.mp4").read_text() == "precious"
