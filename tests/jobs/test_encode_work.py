"""What a worker makes of a sample: the numbers of the trainer's own functions; and what it says of those that it cannot encode."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import model.samples.encode
from jobs.encode_inputs import read_inputs
from jobs.encode_work import EncodeUnit, EncodeWork, KeyWork, Recipe, load_encoders, units_of
from model.checkpoint import Checkpoint
from model.errors import ModelInputError
from model.samples.encode import encode_sample, latents_key
from pipeline.failures import InputError
from pipeline.pack import shards as shard_files
from pipeline.pack.shards import Piece
from schemas.latents import Latents, LatentsKey
from schemas.sample import parse_sample
from schemas.vocabulary import FailureKind
from tests.jobs.encode_root import some_samples, write_checkpoint, write_shards

AREA = 32 * 24


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_shards(tmp_path / "shards", some_samples(3))
    return tmp_path / "shards"


@pytest.fixture
def unit(shards: Path) -> EncodeUnit:
    (unit,) = units_of(read_inputs([str(shards)]), 9)
    return unit


@pytest.fixture
def work(checkpoint: Path, tmp_path: Path) -> EncodeWork:
    return a_work(checkpoint, tmp_path)


def a_work(checkpoint: Path, folder: Path, **changes: Any) -> EncodeWork:
    recipe = Recipe(KeyWork(AREA)(str(checkpoint)), "float32", True)
    work = EncodeWork(str(folder / "out"), str(checkpoint), replace(recipe, **changes), "cpu")
    work.setup()
    return work


def errors(work: EncodeWork, unit: EncodeUnit) -> dict[str, InputError]:
    return {key: result for key, result in work(unit) if isinstance(result, InputError)}


def test_the_numbers_are_those_of_the_trainers_functions_and_float16_is_them_rounded(checkpoint: Path, tmp_path: Path, unit: EncodeUnit) -> None:
    originals = {sample.metadata.clip_id: sample for sample in some_samples(3)}
    whole = Checkpoint.load(checkpoint)
    for dtype in ("float32", "float16"):
        for key, piece in a_work(checkpoint, tmp_path, dtype=dtype)(unit):
            assert isinstance(piece, Piece)
            expected = encode_sample(originals[key], whole, AREA, "cpu", torch.float32)
            made = latents_of(piece)
            for name in ("video", "anchors", "text", "audio", "picture"):
                ours, theirs = getattr(made, name), getattr(expected, name)
                assert (ours is None) == (theirs is None), name
                if ours is not None:
                    np.testing.assert_array_equal(ours, theirs.astype(dtype), name)
            assert made.video.shape == (48, 1, 12, 16)  # 2 x 2 pixels of 4 frames a latent; one of four frames, all that the codec takes; 32 x 24 pixels
            assert (made.anchors is None) == (not originals[key].metadata.anchors)
            assert (made.audio is None) == (originals[key].audio is None)


def latents_of(piece: Piece) -> Latents:
    with Path(piece.uri).open("rb") as file:
        members = {}
        for name, offset, size in zip(*(piece.row[f"member_{part}"] for part in ("names", "offsets", "sizes")), strict=True):
            file.seek(offset)
            members[name] = file.read(size)
    sample = parse_sample(piece.key, members)
    assert sample.latents is not None
    return Latents.from_bytes(sample.latents, piece.key)


def test_the_checkpoints_network_is_not_loaded(checkpoint: Path) -> None:
    loaded = load_encoders(str(checkpoint))
    assert {parameter.device.type for parameter in loaded.transformer.parameters()} == {"meta"}
    assert latents_key(loaded, 5) == latents_key(Checkpoint.load(checkpoint), 5)


def test_the_area_is_the_checkpoints_own_when_none_is_given(checkpoint: Path) -> None:
    assert KeyWork(None)(str(checkpoint)).area == Checkpoint.load(checkpoint).usage.area


def test_no_checkpoint_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"--checkpoint: {tmp_path} is no checkpoint: it has no model_index\.json; give a diffusers pipeline's folder"):
        KeyWork(None)(str(tmp_path))


def test_another_checkpoint_on_a_workers_machine_is_noticed(checkpoint: Path, tmp_path: Path) -> None:
    key = replace(KeyWork(AREA)(str(checkpoint)), codec="other")
    with pytest.raises(InputError, match=r"is not the same checkpoint on every machine: codec .* instead of other"):
        EncodeWork(str(tmp_path), str(checkpoint), Recipe(key, "float16", True), "cpu").setup()


def test_every_choice_is_in_the_hash(unit: EncodeUnit) -> None:
    key = LatentsKey("codec", None, None, None, 9)
    recipe, sample = Recipe(key, "float16", True), unit.samples[0]
    others = [replace(recipe, dtype="float32"), replace(recipe, keep_pixels=False), replace(recipe, key=replace(key, area=8))]
    hashes = {each.sample_hash(sample) for each in (recipe, *others)} | {recipe.sample_hash(replace(sample, sample_hash="x"))}
    assert len(hashes) == 5
    moved = replace(sample, uri="elsewhere", offset=0)
    assert recipe.sample_hash(moved) == recipe.sample_hash(sample), "where it lies does not matter"


def test_units_hold_samples_of_one_shard(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", some_samples(9))
    samples = read_inputs([str(tmp_path / "shards")])
    units = units_of(samples, 2)
    assert [sample for unit in units for sample in unit.samples] == samples
    assert max(len(unit.samples) for unit in units) == 2
    assert all(len({sample.uri for sample in unit.samples}) == 1 for unit in units)
    assert [unit.samples for unit in units[0].apart()] == [(sample,) for sample in units[0].samples]


def test_what_is_staged_already_is_not_encoded_again(work: EncodeWork, unit: EncodeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    first = work(unit)
    monkeypatch.setattr(model.samples.encode, "encode_sample", None)
    assert work(unit) == first


def flip(sample_bytes: bytearray, offset: int, size: int) -> None:
    sample_bytes[offset : offset + size] = bytes(255 - byte for byte in sample_bytes[offset : offset + size])


@pytest.mark.parametrize("member", ["json", "mp4", "flac", "anchor-01.jpg"])
def test_a_damaged_member_costs_its_own_sample_alone(work: EncodeWork, unit: EncodeUnit, member: str) -> None:
    (damaged,) = [sample for sample in unit.samples if sample.key == "clip-0"]
    (where,) = [(offset, size) for name, offset, size in damaged.members if name == member]
    shard = Path(damaged.uri)
    content = bytearray(shard.read_bytes())
    flip(content, where[0] + 10, 20)
    shard.write_bytes(content)
    found = errors(work, unit)
    assert list(found) == ["clip-0"]
    assert found["clip-0"].kind is FailureKind.DAMAGED
    assert str(found["clip-0"]).startswith(f"{shard}: clip-0: ")


def test_a_shard_that_was_cut_short(work: EncodeWork, unit: EncodeUnit) -> None:
    shard, last = Path(unit.samples[0].uri), unit.samples[-1]
    shard.write_bytes(shard.read_bytes()[: last.members[1][1] + 100])
    found = errors(work, unit)
    assert list(found) == [last.key]
    assert f"the shard ends within {last.key}.mp4; it was cut short after its index was written" in str(found[last.key])


def test_samples_of_a_release_to_come_and_of_other_projects(work: EncodeWork, unit: EncodeUnit) -> None:
    shard = Path(unit.samples[0].uri)
    content = bytearray(shard.read_bytes())
    for sample, (old, new) in zip(unit.samples, [(b'"version": 2', b'"version": 9'), (b"gloria.sample", b"others.sample"), (b"", b"")], strict=True):
        (name, offset, size) = sample.members[0]
        assert name == "json"
        content[offset : offset + size] = content[offset : offset + size].replace(old, new)
    shard.write_bytes(content)
    found = errors(work, unit)
    newer, foreign, _ = (sample.key for sample in unit.samples)
    assert set(found) == {newer, foreign}
    assert found[newer].kind is FailureKind.UNSUPPORTED
    assert "upgrade gloria-anchors" in str(found[newer])
    assert "was not written by this project" in str(found[foreign])
    assert found[foreign].kind is FailureKind.UNSUPPORTED
    assert str(found[foreign]).endswith("only samples of `pack` can be encoded")


def broken(fault: Callable[[Latents], Latents]) -> Callable[..., Latents]:
    def encode(*arguments: Any) -> Latents:
        return fault(encode_sample(*arguments))

    return encode


def test_numbers_that_are_not_finite_are_not_stored(work: EncodeWork, unit: EncodeUnit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.samples.encode, "encode_sample", broken(lambda latents: replace(latents, video=latents.video * np.float32("inf"))))
    found = errors(work, unit)
    assert set(found) == {sample.key for sample in unit.samples}
    assert "what video becomes is not finite in float32; leave the sample out" in str(found["clip-0"])


@pytest.mark.parametrize(
    ("error", "kind"), [(ModelInputError("too small"), FailureKind.UNSUPPORTED), (torch.OutOfMemoryError("2 GiB"), FailureKind.OUT_OF_MEMORY)]
)
def test_what_the_networks_say_is_typed(work: EncodeWork, unit: EncodeUnit, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: FailureKind) -> None:
    def fault(_: Latents) -> Latents:
        raise error

    monkeypatch.setattr(model.samples.encode, "encode_sample", broken(fault))
    assert {result.kind for result in errors(work, unit).values()} == {kind}


def test_the_row_says_what_the_sample_holds(checkpoint: Path, tmp_path: Path, unit: EncodeUnit, shards: Path) -> None:
    before = {row["key"]: row for row in shard_files.read_shard_index(str(shards))}
    for key, piece in a_work(checkpoint, tmp_path, keep_pixels=False)(unit):
        assert isinstance(piece, Piece)
        assert piece.row["member_names"] == ["json", "latents.safetensors"]
        told = [name for name in before[key] if name not in ("shard", "offset", "size", "sample_hash") and not name.startswith("member")]
        assert {name: piece.row[name] for name in told} == {name: before[key][name] for name in told}
        with Path(piece.uri).open("rb") as file:
            file.seek(piece.row["member_offsets"][0])
            content = json.loads(file.read(piece.row["member_sizes"][0]))
        assert (content["pixels"], content["latents"], content["sample_hash"]) == (False, True, piece.row["sample_hash"])
