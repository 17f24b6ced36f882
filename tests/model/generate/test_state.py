"""A run that is killed anywhere goes on after its last finished chunk, and ends with the same files."""

import errno
import json
import os
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from model.errors import ModelInputError
from model.generate import state as state_module
from model.generate.recording import PARTIAL
from model.generate.state import Carry, RunState, differences

SETTINGS = {"seed": 1, "size": [64, 48], "prompt": "a walk", "sampler": {"steps": 4, "shift": 3.0}}
CHUNKS = 5
EMPTY = Carry(0, 0, 0, torch.zeros(3, 0, 1, 1), torch.zeros(1, 0, 1, 1))


def made(chunk: int, before: Carry | None) -> Tensor:
    """What a chunk's frames are made from: all that was carried over, so that losing anything shows."""
    last = torch.zeros(()) if before is None else before.held.sum() + before.latents.sum() + before.frames_written
    return torch.sin(last + chunk + torch.arange(12.0))


class Killed(BaseException):
    pass


def run(out: Path, kill: tuple[int, str] | None = None) -> None:
    """A run of CHUNKS chunks with a plain file for the video; killed in a chunk before one of its steps."""
    state = RunState.open(out, SETTINGS)
    partial = out.with_name(out.name + PARTIAL)
    partial.touch()
    with partial.open("r+b") as file:
        file.truncate(state.carry.bytes_written if state.carry else 0)
    for chunk in range(state.next_chunk, CHUNKS):
        values = made(chunk, state.carry)
        with partial.open("ab") as file:
            content = values.numpy().tobytes()
            if kill == (chunk, "frames"):
                file.write(content[:7])
                raise Killed
            file.write(content)
        written = partial.stat().st_size
        carry = Carry(chunk, written, written // 48, values[:6].reshape(3, 2, 1, 1), values[6:].reshape(2, 3, 1, 1))
        if kill == (chunk, "log"):
            raise Killed
        with pytest.MonkeyPatch.context() as patch:
            if kill is not None and kill[0] == chunk:
                patch.setattr(state_module, "_write", killer(kill[1]))
            state.commit(carry, {"frames": carry.frames_written})


def killer(step: str) -> Any:
    write = state_module._write

    def killed(path: Path, content: bytes) -> None:
        if step == "carry":
            path.with_name(path.name + state_module.TEMPORARY).write_bytes(content[: len(content) // 2])
        else:
            write(path, content)
        raise Killed

    return killed


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    run(folder / "v.mp4")
    return files(folder)


@pytest.mark.parametrize("step", ["frames", "log", "carry", "done"])
@pytest.mark.parametrize("chunk", [0, 2, CHUNKS - 1])
def test_killed_anywhere_it_ends_with_the_same_files(tmp_path: Path, whole: dict[str, bytes], chunk: int, step: str) -> None:
    with pytest.raises(Killed):
        run(tmp_path / "v.mp4", (chunk, step))
    assert RunState.open(tmp_path / "v.mp4", SETTINGS).next_chunk == chunk + (step == "done")
    run(tmp_path / "v.mp4")
    assert files(tmp_path) == whole


def test_a_carry_comes_back_to_the_bit(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    held, latents = torch.randn(3, 4, 6, 8, generator=generator), torch.randn(16, 2, 3, 4, generator=generator)
    RunState.open(tmp_path / "v.mp4", SETTINGS).commit(Carry(0, 100, 77, held[:, ::2], latents), {"seconds": 1.5})
    state = RunState.open(tmp_path / "v.mp4", SETTINGS)
    assert state.carry is not None
    assert (state.next_chunk, state.carry.bytes_written, state.carry.frames_written) == (1, 100, 77)
    assert torch.equal(state.carry.held, held[:, ::2])
    assert torch.equal(state.carry.latents, latents)
    assert [json.loads(line) for line in (state.folder / "chunks.jsonl").read_text().splitlines()] == [{"chunk": 0, "seconds": 1.5}]
    state.commit(Carry(1, 100, 77, held[:, :0], latents), {})
    assert RunState.open(tmp_path / "v.mp4", SETTINGS).carry.held.shape == (3, 0, 6, 8)  # type: ignore[union-attr]


def test_chunks_are_done_in_their_order(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="chunk 0 is to be done next, not 1"):
        RunState.open(tmp_path / "v.mp4", SETTINGS).commit(Carry(1, 0, 0, torch.zeros(3, 0, 1, 1), torch.zeros(1, 1, 1, 1)), {})


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    run(tmp_path / "v.mp4")
    changed = SETTINGS | {"seed": 2, "sampler": {"steps": 4, "shift": 5.0}}
    with pytest.raises(ModelInputError) as raised:
        RunState.open(tmp_path / "v.mp4", changed)
    said = str(raised.value)
    assert "sampler.shift: 3.0, now 5.0; seed: 1, now 2" in said
    assert "another --out" in said
    assert "--restart" in said
    assert "prompt" not in said
    state = RunState.open(tmp_path / "v.mp4", changed, restart=True)
    assert (state.carry, state.next_chunk, [path.name for path in state.folder.iterdir()]) == (None, 0, ["settings.json"])


def begun(out: Path, settings: dict[str, Any]) -> RunState:
    """A run that has one chunk."""
    state = RunState.open(out, settings)
    state.commit(EMPTY, {})
    return state


def test_settings_are_compared_as_they_are_stored(tmp_path: Path) -> None:
    begun(tmp_path / "v.mp4", {"size": (64, 48), "options": {}})
    assert RunState.open(tmp_path / "v.mp4", {"options": {}, "size": [64, 48]}).next_chunk == 1
    assert differences({"a": {"b": 1}, "c": {}}, {"a": {"b": 1, "d": 2}}) == ["a.d: not there, now 2", "c: {}, now not there"]


def test_a_refusal_names_some_settings_of_many(tmp_path: Path) -> None:
    begun(tmp_path / "v.mp4", {f"s{n}": n for n in range(20)})
    with pytest.raises(ModelInputError, match=r"s15: 15, now not there and 12 more\)"):
        RunState.open(tmp_path / "v.mp4", {})


@pytest.mark.parametrize(("name", "content"), [("settings.json", b"{"), ("settings.json", b"[]"), ("carry.safetensors", b"torn")])
def test_a_damaged_folder_is_said_to_be(tmp_path: Path, name: str, content: bytes) -> None:
    run(tmp_path / "v.mp4")
    (tmp_path / "v.mp4.state" / name).write_bytes(content)
    with pytest.raises(ModelInputError, match=rf"{name} is damaged; begin anew with --restart"):
        RunState.open(tmp_path / "v.mp4", SETTINGS)


@pytest.mark.parametrize(("name", "said"), [("settings.json", "is gone"), ("chunks.jsonl", "0 chunks where 5 are done")])
def test_what_is_missing_is_said(tmp_path: Path, name: str, said: str) -> None:
    run(tmp_path / "v.mp4")
    (tmp_path / "v.mp4.state" / name).unlink()
    with pytest.raises(ModelInputError, match=said):
        RunState.open(tmp_path / "v.mp4", SETTINGS)


def test_removing_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    state = RunState.open(tmp_path / "v.mp4", SETTINGS)
    state.remove()
    assert not state.folder.exists()
    state.remove()
    RunState.open(tmp_path / "v.mp4", SETTINGS)
    (state.folder / "notes.txt").write_text("mine")
    state.remove()
    assert [path.name for path in state.folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("before", [b"{", b"other"])
def test_before_the_first_chunk_other_settings_are_taken(tmp_path: Path, before: bytes) -> None:
    """What failed, or was stopped, before anything was made binds nobody."""
    state = RunState.open(tmp_path / "v.mp4", {"preset": "nonsense"})
    if before == b"{":
        (state.folder / "settings.json").write_bytes(before)
    (state.folder / "attention.jsonl").write_text("of a chunk that was not finished\n")
    state = begun(tmp_path / "v.mp4", SETTINGS)
    assert sorted(path.name for path in state.folder.iterdir()) == ["carry.safetensors", "chunks.jsonl", "settings.json"]
    with pytest.raises(ModelInputError, match="preset: not there, now"):
        RunState.open(tmp_path / "v.mp4", SETTINGS | {"preset": "medium"})
    assert RunState.open(tmp_path / "v.mp4", SETTINGS).next_chunk == 1


def test_a_new_beginning_forgets_the_attention(tmp_path: Path) -> None:
    state = begun(tmp_path / "v.mp4", SETTINGS)
    (state.folder / "attention.jsonl").write_text("{}\n")
    RunState.open(tmp_path / "v.mp4", SETTINGS)
    assert (state.folder / "attention.jsonl").exists()
    RunState.open(tmp_path / "v.mp4", SETTINGS, restart=True)
    assert not (state.folder / "attention.jsonl").exists()


@pytest.mark.parametrize("call", [1, 2, 3], ids=["log", "carry", "folder"])
def test_a_full_disk_is_said_and_what_is_finished_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    state = begun(tmp_path / "v.mp4", SETTINGS)
    calls, sync = count(1), os.fsync

    def full(file: int) -> None:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ModelInputError, match=r"the disk of .*v.mp4.state is full; what is finished is kept: make room and run the same command again"):
            state.commit(replace(EMPTY, chunk=1), {})
    again = RunState.open(tmp_path / "v.mp4", SETTINGS)
    assert again.next_chunk == (2 if call == 3 else 1)  # the last only makes sure that the carry, which is in place, stays there
    again.commit(replace(EMPTY, chunk=again.next_chunk), {})
    assert len((again.folder / "chunks.jsonl").read_text().splitlines()) == again.next_chunk


def test_a_folder_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelInputError, match="choose another --out"):
        RunState.open(tmp_path / "file" / "v.mp4", SETTINGS)


def test_the_settings_can_be_read_by_people(tmp_path: Path) -> None:
    state = RunState.open(tmp_path / "v.mp4", SETTINGS)
    assert json.loads((state.folder / "settings.json").read_text())["settings"] == SETTINGS
