import json
from pathlib import Path

import pytest

from benchmarks import webdataset_order
from benchmarks.webdataset_order import READERS, by_index, draw_shards, measure, streamed_seeded

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create")


def test_the_trainer_sees_each_sample_once_in_an_order_that_nothing_changes(tmp_path: Path) -> None:
    shards, few = draw_shards(tmp_path / "shards", 4, 5), draw_shards(tmp_path / "few", 2, 12)
    order = measure("training", by_index, shards, few, ranks=3, workers=2)
    assert (order.repeatable, order.new_each_epoch, order.any_workers) == (True, True, True)
    assert (order.missed, order.seen_again, order.few_shards) == (0, 0, "reads all")
    assert order.most_of_a_rank - order.fewest_of_a_rank <= 5, "one sample a step"


def test_seeded_streaming_repeats_its_order_and_splits_unevenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdataset_order, "_attempt", lambda _: "takes torch 15 s to give up")
    shards, few = draw_shards(tmp_path / "shards", 4, 5), draw_shards(tmp_path / "few", 2, 12)
    order = measure("webdataset", streamed_seeded, shards, few, ranks=3, workers=1)
    assert (order.repeatable, order.new_each_epoch) == (True, False)
    assert (order.fewest_of_a_rank, order.most_of_a_rank) == (5, 10)


def test_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdataset_order, "READERS", {"training": by_index})
    shards = draw_shards(tmp_path / "shards", 2, 3)
    assert webdataset_order.main(["--shards", str(shards), "--ranks", "2", "--workers", "1", "--out", str(tmp_path / "order.json")]) == 0
    (row,) = json.loads((tmp_path / "order.json").read_text())
    assert (row["reader"], row["missed"]) == ("training", 0)
    assert "6 samples in 2 shards" in capsys.readouterr().out
    assert len(READERS) == 4
