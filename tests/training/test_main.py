from pathlib import Path

import pytest

from schemas.yaml_options import OptionsError
from training.__main__ import FAILED, STOPPED, USAGE, main, parse

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
    assert main([*GIVEN, "--preset", "large"]) == USAGE
    assert "there is no preset 'large'; there are plain, tiny" in capsys.readouterr().err


def test_what_went_wrong_is_a_sentence_and_an_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--out", str(tmp_path), "--to", str(tmp_path / "to")]) == FAILED
    assert f"{tmp_path} has no checkpoint" in capsys.readouterr().err


def test_ranks_say_who_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    assert main(["export", "--out", str(tmp_path), "--to", str(tmp_path / "to")]) == FAILED
    assert "rank 3: " in capsys.readouterr().err


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("function", "words", "said"),
    [
        ("training.run.run", GIVEN, "stopped at once; the newest checkpoint stands, the same command goes on from there"),
        ("training.export.export", ["export", "--out", "a", "--to", "b"], "stopped"),
        ("training.data.build_index.build_index", ["index", "--shards", "a"], "stopped"),
    ],
)
def test_a_signal_that_insists(function: str, words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function, interrupted)
    assert main(words) == STOPPED
    assert capsys.readouterr().err == f"{said}\n"


def test_a_number_that_cannot_be_ends_it_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*GIVEN, "--steps", "0"]) == FAILED
    assert capsys.readouterr().err == "--steps 0: must be 1 or more\n"
    assert main([*GIVEN, "--parallel.threads", "0"]) == FAILED
    assert capsys.readouterr().err == "--parallel.threads 0: must be 1 or more\n"


def test_a_device_that_there_is_not() -> None:
    with pytest.raises(SystemExit) as ended:
        main([*GIVEN, "--parallel.device", "tpu"])
    assert ended.value.code == USAGE
