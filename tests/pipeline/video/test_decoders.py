from collections.abc import Callable, Sequence
from typing import cast, get_args

import numpy as np
import pytest

from pipeline.assets import fetch
from pipeline.video.container import VideoError
from pipeline.video.decoders import Backend, open_decoder
from schemas.vocabulary import FailureKind
from tests.barcode import Kind, Written, read_number

BACKENDS: Sequence[Backend] = get_args(Backend)
READABLE: list[tuple[Backend, Kind]] = [(backend, kind) for backend in BACKENDS for kind in Kind if (backend, kind) != ("decord", Kind.EDIT_LIST)]
"""Both decoders read every kind, but decord shows what an edit list hides."""


@pytest.mark.parametrize(("backend", "kind"), READABLE)
def test_every_frame_has_its_time(backend: Backend, kind: Kind, numbered: Callable[[Kind], Written]) -> None:
    written = numbered(kind)
    with open_decoder(str(written.path), backend) as decoder:
        found = [(frame.pts_ns, read_number(frame.rgb())) for frame in decoder.frames()]
        assert decoder.index.pts_ns.tolist() == written.pts_ns
    assert found == list(zip(written.pts_ns, written.numbers, strict=True))


@pytest.mark.parametrize(("backend", "kind"), READABLE)
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_every_instant_gets_its_frame(backend: Backend, kind: Kind, order: str, numbered: Callable[[Kind], Written]) -> None:
    written = numbered(kind)
    random = np.random.default_rng(7)
    instants = random.integers(written.pts_ns[0] - 10**8, written.pts_ns[-1] + 10**8, 40).tolist() + [written.pts_ns[3]] * 3
    if order == "sorted":
        instants.sort()
    with open_decoder(str(written.path), backend) as decoder:
        found = [(frame.pts_ns, read_number(frame.rgb(160, 120))) for frame in decoder.read(instants)]
    nearest = [written.number_at(instant) for instant in instants]
    assert [number for _, number in found] == nearest
    assert [pts for pts, _ in found] == [written.pts_ns[written.numbers.index(number)] for number in nearest]


@pytest.mark.parametrize(("backend", "kind"), READABLE)
def test_spans_are_half_open(backend: Backend, kind: Kind, numbered: Callable[[Kind], Written]) -> None:
    written = numbered(kind)
    with open_decoder(str(written.path), backend) as decoder:
        for first, last in ((0, 5), (11, 12), (13, 30), (24, 40), (2, 3), (7, 7), (30, len(written.numbers))):
            end = written.pts_ns[last] if last < len(written.pts_ns) else None
            found = [read_number(frame.rgb()) for frame in decoder.frames(written.pts_ns[first], end)]
            assert found == written.numbers[first:last]
        between = list(decoder.frames(written.pts_ns[20] + 1, written.pts_ns[22] + 1))
        assert [frame.pts_ns for frame in between] == written.pts_ns[21:23]
        assert list(decoder.frames(written.pts_ns[-1] + 10**12)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_pictures_have_the_size_asked_for_and_stand_upright(backend: Backend, numbered: Callable[[Kind], Written]) -> None:
    with open_decoder(str(numbered(Kind.ROTATED).path), backend) as decoder:
        for frame in decoder.frames(end_ns=1):
            for size in ((None, None), (160, 120), (64, 48), (640, 480), (160, None), (None, 120)):
                picture = frame.rgb(*size)
                assert picture.shape == (size[1] or (size[0] or 320) * 3 // 4, size[0] or (size[1] or 240) * 4 // 3, 3)
                assert str(picture.dtype) == "uint8"
                assert picture.flags.c_contiguous
                assert read_number(picture) == 0


@pytest.mark.parametrize("name", ["walker", "face_then_no_face", "no_face"])
def test_real_files_yield_the_times_of_their_index(name: str) -> None:
    with open_decoder(str(fetch(name))) as decoder:
        expected = decoder.index.pts_ns.tolist()
        assert [frame.pts_ns for frame in decoder.frames()] == expected
        middle = len(expected) // 2
        assert [frame.pts_ns for frame in decoder.frames(expected[middle])] == expected[middle:]


def test_both_decoders_show_the_same_pictures() -> None:
    path = str(fetch("single_face"))
    with open_decoder(path) as ours, open_decoder(path, "decord") as theirs:
        for one, other in zip(ours.frames(), theirs.frames(), strict=True):
            assert one.pts_ns == other.pts_ns
            assert np.abs(one.rgb().astype(int) - other.rgb()).mean() < 1


def test_an_index_is_not_read_twice(numbered: Callable[[Kind], Written]) -> None:
    path = str(numbered(Kind.CONSTANT).path)
    with open_decoder(path) as first:
        for backend in BACKENDS:
            with open_decoder(path, backend, index=first.index) as second:
                assert second.index is first.index


def test_unknown_backends_and_missing_files_are_named() -> None:
    with pytest.raises(ValueError, match="pyav or decord"):
        open_decoder("film.mp4", cast(Backend, "opencv"))
    for backend in BACKENDS:
        with pytest.raises(VideoError, match=r"nowhere\.mp4") as caught:
            open_decoder("nowhere.mp4", backend)
        assert caught.value.kind is FailureKind.NOT_FOUND
