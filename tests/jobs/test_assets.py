"""``assets list`` and ``assets fetch`` on the command line. How assets are fetched is tested with pipeline.assets."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from jobs.__main__ import main
from jobs.assets import fetch_assets, list_assets
from pipeline.assets import ASSETS


def test_the_list_has_every_asset_with_its_licence() -> None:
    stream = io.StringIO()
    list_assets(Console(file=stream, width=400))
    for name, asset in ASSETS.items():
        (line,) = [line for line in stream.getvalue().splitlines() if line.startswith(f"│ {name} ")]
        assert asset.licence.split(",")[0] in line


def test_fetching_prints_where_each_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assets", "fetch", "yunet"]) == 0
    name, _, path = capsys.readouterr().out.strip().partition(": ")
    assert name == "yunet"
    assert Path(path).stat().st_size == ASSETS["yunet"].size_bytes


def test_what_cannot_be_had_is_counted_and_the_others_are_fetched() -> None:
    stream = io.StringIO()
    assert fetch_assets(["nonsense", "yunet"], Console(file=stream)) == 1
    assert "there is no asset 'nonsense'" in stream.getvalue()
    assert main(["assets", "fetch", "nonsense"]) == 1
