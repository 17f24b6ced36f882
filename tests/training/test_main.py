from pathlib import Path

import pytest

from schemas.yaml_options import OptionsError
from training.__main__ import FAILED, USAGE, main, parse

GIVEN = ["--shards", "a", "--out", "b", "--from-checkpoint", "c"]


def test_the_command_line_wins_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("preset: tiny\nsteps: 7\noptimizer: {rate: 0.5, warmup: 3}\ndata: {skip_damaged: true}\n")
    options = parse([*GIVEN, "--config", str(file), "--optimizer.rate", "0.25"])
    assert (options.preset, options.steps, options.optimizer.rate, options.optimizer.warmup) == ("tiny", 7, 0.25, 3)
    assert options.data.skip_damaged
    assert options.batch.micro == 8  # of the preset
    assert parse([*GIVEN, "--config", str(file), "--preset=plain"]).batch.micro == 1


def test_a_key_that_there_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("data: {worker: 3}\n")
    with pytest.raises(OptionsError, match=r"there is no option data\.worker; did you mean data\.workers"):
        parse([*GIVEN, "--config", str(file)])
    assert main([*GIVEN, "--config", str(file)]) == USAGE
    assert "there is no option data.worker" in capsys.readouterr().err


def test_a_preset_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, "--preset", "large"]) == FAILED
    assert "there is no preset 'large'; there are plain, tiny" in capsys.readouterr().err


def test_what_went_wrong_is_a_sentence_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--out", str(tmp_path), "--to", str(tmp_path / "to")]) == FAILED
    assert f"{tmp_path} has no checkpoint" in capsys.readouterr().err


def test_ranks_say_who_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    assert main(["export", "--out", str(tmp_path), "--to", str(tmp_path / "to")]) == FAILED
    assert "rank 3: " in capsys.readouterr().err
