"""What a command tells people at its end. The models do not look here: the whole is tested in end_to_end."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.engine import EngineOptions
from jobs.options import Pack, Report, Select
from jobs.progress import Progress
from jobs.run import _exit_code, execute
from jobs.stage import StageSummary
from pipeline.select.video import SelectOptions
from schemas.vocabulary import Stage
from tests.jobs.drawn_root import two_people, write_film, write_observed

LOCAL = EngineOptions(engine="local")
OPTIONS = SelectOptions()
NOTHING = replace(OPTIONS, quality=replace(OPTIONS.quality, min_face_pixels=10_000.0, full_face_pixels=20_000.0))


def test_a_new_selection_says_what_differs_and_what_is_of_the_old_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out")
    write_observed(tmp_path / "out", write_film(tmp_path), two_people())
    said = []
    for command in (
        Select(out, select=NOTHING, engine=LOCAL),
        Pack(out, engine=LOCAL),
        Report(out, engine=LOCAL),
        Select(out, select=NOTHING, engine=LOCAL),
        Select(out, select=replace(NOTHING, quality=replace(NOTHING.quality, full_face_pixels=30_000.0)), engine=LOCAL),
        Pack(out, engine=LOCAL),
        Report(out, engine=LOCAL),
    ):
        assert execute(command, []) == 0
        said.append(capsys.readouterr().out)
    assert ["an earlier selection" in words for words in said] == [False, False, False, False, True, True, False]
    assert ["options that differ" in words for words in said] == [False, False, False, False, True, False, False]
    assert "select.quality.full_face_pixels: 20000.0 → 30000.0" in said[4]
    assert "shards and report are of an earlier selection: run pack and report" in said[4]
    assert "report is of an earlier selection: run report" in said[5]
    assert set(json.loads((tmp_path / "out" / "run.json").read_text())["provenance"]) == {"select", "pack", "report"}


@pytest.mark.parametrize(
    ("done", "skipped", "failed", "code", "sentence"),
    [
        (1, 1, 1, 0, ""),
        (0, 2, 0, 0, "nothing to do: everything is done already"),
        (0, 2, 3, 0, "nothing new was done: 3 failed, see the failures table; the rest was done before"),
        (0, 0, 3, 1, "nothing could be done: 3 failed, see the failures table"),
        (0, 0, 0, 0, "nothing to do: no videos were found"),
    ],
)
def test_how_it_ended_in_a_sentence(done: int, skipped: int, failed: int, code: int, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code(Progress(), [StageSummary(Stage.OBSERVE, done, skipped, failed)]) == code
    streams = capsys.readouterr()
    assert (streams.out + streams.err).strip() == sentence
