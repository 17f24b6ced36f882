import errno
import os
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from model.attention_log import ChunkAttention, append, cut, latent_seconds, read
from model.errors import ModelInputError


def row(chunk: int) -> ChunkAttention:
    masses = torch.tensor([[0.25, 0.125, 0.625], [0.5, 0.0, 0.5]], dtype=torch.float64)
    return ChunkAttention.of(chunk, 8 * chunk, latent_seconds(8 * chunk, 2, 4, Fraction(16)), ["global", "viewpoint left"], masses, "Zoë läuft")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "attention.jsonl"
    for chunk in range(3):
        append(path, row(chunk))
    assert read(path) == [row(0), row(1), row(2)]
    assert read(path)[0].mass == [[0.25, 0.125], [0.5, 0.0]]
    assert read(path)[0].video == [0.625, 0.5]


def test_a_run_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "attention.jsonl"
    cut(path, 0)
    assert not path.exists()
    for chunk in range(3):
        append(path, row(chunk))
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert read(path) == [row(0), row(1)]
    cut(path, 1)
    assert read(path) == [row(0)]
    for chunk in (1, 2):
        append(path, row(chunk))
    assert path.read_bytes() == whole


def test_seconds_are_the_middle_of_what_a_latent_shows() -> None:
    rate, factor, first = Fraction(24), 4, 100
    shown = [range(first, first + 1), *(range(first + factor * i - factor + 1, first + factor * i + 1) for i in range(1, 4))]
    assert latent_seconds(first, 4, factor, rate) == pytest.approx([(frames.start + frames.stop) / 2 / 24 for frames in shown], abs=1e-6)


def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelInputError, match=r"the disk of .*attention.jsonl is full; what is finished is kept: make room and run the same command again"):
        append(tmp_path / "attention.jsonl", row(0))


@pytest.mark.parametrize("text", ["not json\n", "[1, 2]\n", '{"chunk": 0}\n', '{"chunk":0,"first_frame":0,"seconds":[1],"anchors":[],"mass":[],"video":[]}\n'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "attention.jsonl"
    with pytest.raises(ModelInputError, match="is not there"):
        read(path)
    path.write_text(text)
    with pytest.raises(ModelInputError, match="no record of attention"):
        read(path)
