import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.assets import fetch
from pipeline.failures import InputError
from pipeline.video.container import VideoError
from pipeline.video.decord_decoder import DecordDecoder
from pipeline.video.index import read_index
from schemas.vocabulary import FailureKind
from tests.barcode import Kind, Written, read_number, write_video


def refusal(uri: str) -> str:
    with pytest.raises(VideoError, match="read it with the decoder pyav") as caught:
        DecordDecoder(uri)
    assert caught.value.kind is FailureKind.UNSUPPORTED
    assert uri in str(caught.value)
    return str(caught.value)


def test_an_edit_list_is_refused(numbered: Callable[[Kind], Written]) -> None:
    assert "claims 60 frames and shows 53" in refusal(str(numbered(Kind.EDIT_LIST).path))
    assert "claims 98 frames and shows 95" in refusal(str(fetch("no_face")))


@pytest.mark.parametrize("suffix", ["ts", "flv", "avi"])
def test_containers_it_gets_wrong_are_refused(suffix: str, tmp_path: Path) -> None:
    kind = Kind.CONSTANT if suffix == "avi" else Kind.B_FRAMES
    written = write_video(tmp_path / f"film.{suffix}", kind, frames=20, codec="mpeg4" if suffix == "avi" else "libx264")
    assert "not trusted" in refusal(str(written.path))


def test_remote_files_are_refused(numbered: Callable[[Kind], Written]) -> None:
    index = replace(read_index(str(numbered(Kind.CONSTANT).path)), uri="memory://film.mp4")
    with pytest.raises(VideoError, match="not a local file"):
        DecordDecoder("memory://film.mp4", index=index)


def test_times_that_disagree_are_refused(numbered: Callable[[Kind], Written]) -> None:
    path = str(numbered(Kind.CONSTANT).path)
    index = read_index(path)
    late = index.pts_ns + np.where(np.arange(60) > 30, 20_000_000, 0)
    with pytest.raises(VideoError, match="frame times that decord reads differently"):
        DecordDecoder(path, index=replace(index, pts_ns=late, keyframe_ns=late[:1].copy(), end_ns=int(late[-1]) + 1))
    with pytest.raises(VideoError, match="shows 59 frames, of which decord sees 60"):
        DecordDecoder(path, index=replace(index, claimed_frame_count=None, pts_ns=index.pts_ns[:-1].copy(), keyframe_ns=index.keyframe_ns[:1].copy()))


def test_hidden_reference_frames_of_vp9(tmp_path: Path) -> None:
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "cpu-used": "8", "b": "300k"}
    written = write_video(tmp_path / "film.webm", Kind.CONSTANT, frames=40, codec="libvpx-vp9", options=options)
    with DecordDecoder(str(written.path)) as decoder:
        assert [read_number(frame.rgb()) for frame in decoder.frames()] == written.numbers
        assert [read_number(frame.rgb()) for frame in decoder.read([written.pts_ns[30], written.pts_ns[4]])] == [30, 4]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_rotation_is_applied_once(turn: int, tmp_path: Path) -> None:
    written = write_video(tmp_path / "turned.mp4", Kind.CONSTANT, frames=3, turn=turn)
    with DecordDecoder(str(written.path)) as decoder:
        assert [read_number(frame.rgb()) for frame in decoder.frames()] == [0, 1, 2]


def test_the_file_is_closed(numbered: Callable[[Kind], Written]) -> None:
    path = str(numbered(Kind.CONSTANT).path)
    decoder = DecordDecoder(path)
    list(decoder.read([10**9, 0]))
    decoder.close()
    decoder.close()
    assert not any(link.is_symlink() and str(link.readlink()) == path for link in Path("/proc/self/fd").iterdir())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "decord", None)
    with pytest.raises(InputError, match=r"in the project's clone: pip install -c constraints\.txt '\.\[decord\]'") as caught:
        DecordDecoder("film.mp4")
    assert caught.value.kind is FailureKind.MISSING_DEPENDENCY
