import io
import math
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.crops import centred_square
from pipeline.failures import InputError
from pipeline.refine.options import PictureOptions
from pipeline.refine.pictures import FramePictures, fitting_size
from pipeline.refine.questions import Picture
from pipeline.video.decoders import Backend
from pipeline.video.pyav_decoder import PyAVDecoder
from schemas.vocabulary import AnchorKind, FailureKind
from tests.barcode import Kind, Written, read_number, write_video

WHOLE = (0, 0, 320, 240)
CODE = (0, 120, 320, 240)
"""Part of the frame; the number is in the lower two thirds of it."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_video(tmp_path_factory.mktemp("video") / "video.mp4", Kind.VARIABLE, frames=80)


def decoded(jpeg: bytes | InputError) -> NDArray[np.uint8]:
    assert isinstance(jpeg, bytes)
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return np.asarray(image.convert("RGB"))


def number(jpeg: bytes | InputError, region: tuple[int, int, int, int] = WHOLE) -> int:
    shown = decoded(jpeg)
    hidden = 240 - (region[3] - region[1])
    return read_number(np.vstack([np.zeros((round(hidden * shown.shape[1] / 320), shown.shape[1], 3), np.uint8), shown]))


def made(video: Written, pictures: list[Picture], options: PictureOptions | None = None, backend: Backend = "pyav") -> dict[Picture, bytes | InputError]:
    with FramePictures(str(video.path), options or PictureOptions(), backend) as frames:
        return frames.jpegs(pictures)


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_each_picture_shows_the_frame_of_its_time(video: Written, backend: Backend) -> None:
    wanted = {Picture(video.pts_ns[position], region): position for position in (61, 3, 17, 79, 0) for region in (CODE, WHOLE)}
    jpegs = made(video, list(wanted), backend=backend)
    assert {picture: number(jpeg, picture.region) for picture, jpeg in jpegs.items()} == {picture: video.numbers[at] for picture, at in wanted.items()}


def test_a_whole_frame_is_the_one_on_display_at_its_moment(video: Written) -> None:
    moments = [-5_000_000, 0, *range(1, video.pts_ns[-1] + 200_000_000, 23_456_789), *(time + by for time in video.pts_ns[5:9] for by in (-1, 0, 1))]
    jpegs = made(video, [Picture(moment, WHOLE) for moment in moments])
    shown = [max((number for time, number in zip(video.pts_ns, video.numbers, strict=True) if time <= max(0, moment)), default=0) for moment in moments]
    assert [number(jpegs[Picture(moment, WHOLE)]) for moment in moments] == shown


def test_a_part_of_a_frame_that_is_not_there_is_an_error_of_its_own(video: Written) -> None:
    there, gone, larger = Picture(video.pts_ns[4], CODE), Picture(video.pts_ns[4] + 1, CODE), Picture(video.pts_ns[4], (0, 0, 321, 240))
    jpegs = made(video, [gone, there, larger])
    assert number(jpegs[there], CODE) == 4
    for picture, words in ((gone, f"no frame at {gone.pts_ns} ns, where somebody was observed: run observe again"), (larger, "320x240")):
        error = jpegs[picture]
        assert isinstance(error, InputError)
        assert error.kind == FailureKind.DAMAGED
        assert words in str(error)


def test_a_region_is_cut_out_and_made_smaller_but_never_larger(tmp_path: Path) -> None:
    def picture(_: int) -> NDArray[np.uint8]:
        frame = np.zeros((480, 640, 3), np.uint8)
        frame[40:240, 200:400] = (200, 40, 40)
        return frame

    video = write_video(tmp_path / "video.mp4", frames=2, width=640, height=480, picture=picture)
    face = Picture(0, (200, 40, 400, 240))
    large, small = (decoded(made(video, [face], PictureOptions(pixels=pixels))[face]) for pixels in (448 * 448, 50 * 50))
    assert large.shape == (200, 200, 3)
    assert small.shape == (50, 50, 3)
    for shown in (large, small):
        assert np.abs(shown[5:-5, 5:-5].astype(int) - (200, 40, 40)).max() < 30
    whole = Picture(0, (0, 0, 640, 480))
    assert decoded(made(video, [whole], PictureOptions(pixels=120 * 90))[whole]).shape == (90, 120, 3)


RED, BLUE, BACKGROUND = (200, 40, 40), (40, 40, 200), (20, 110, 20)


def video_of_faces(path: Path, width: int, height: int, faces: Mapping[tuple[int, int, int], Sequence[float]]) -> Written:
    """Two frames of coloured faces, whose boxes are fractions of the frame."""

    def picture(_: int) -> NDArray[np.uint8]:
        frame = np.full((height, width, 3), BACKGROUND, np.uint8)
        for colour, (x0, y0, x1, y1) in faces.items():
            frame[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)] = colour
        return frame

    return write_video(path, frames=2, width=width, height=height, picture=picture)


def alike(shown: NDArray[np.uint8], colour: Sequence[int]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(shown.astype(int) - colour).max(axis=2) < 45)


@pytest.mark.parametrize("kind", [AnchorKind.VIEWPOINT, AnchorKind.EXPRESSION])
def test_people_side_by_side_in_a_portrait_frame_have_pictures_with_their_own_face_in_the_middle(tmp_path: Path, kind: AnchorKind) -> None:
    faces = {RED: [0.05, 0.3, 0.45, 0.5], BLUE: [0.55, 0.3, 0.95, 0.5]}
    video = video_of_faces(tmp_path / "video.mp4", 540, 960, faces)
    pictures = {colour: Picture(0, centred_square(kind, face, None, 540, 960)) for colour, face in faces.items()}
    jpegs = made(video, list(pictures.values()), PictureOptions(pixels=300 * 300))
    assert len(set(jpegs.values())) == 2
    for colour, picture in pictures.items():
        shown = decoded(jpegs[picture])
        rows, columns = np.nonzero(alike(shown, colour))
        assert shown.shape == (300, 300, 3)
        assert (columns.mean(), rows.mean()) == pytest.approx((149.5, 149.5), abs=2)
        assert np.ptp(columns) == pytest.approx(216 * 300 / (picture.region[2] - picture.region[0]), abs=5), "the face is as large as can be"


@pytest.mark.parametrize("left", [0.0, 0.8])
@pytest.mark.parametrize("top", [0.0, 0.3])
def test_a_face_at_the_edge_is_in_the_middle_and_what_is_outside_is_grey(tmp_path: Path, left: float, top: float) -> None:
    face = [left, top, left + 0.2, top + 0.25]
    video = video_of_faces(tmp_path / "video.mp4", 500, 400, {RED: face})
    picture = Picture(0, centred_square(AnchorKind.VIEWPOINT, face, None, 500, 400))
    shown = decoded(made(video, [picture])[picture])
    x0, y0 = picture.region[:2]
    assert shown.shape == (320, 320, 3)
    rows, columns = np.nonzero(alike(shown, RED))
    assert (columns.mean(), rows.mean()) == pytest.approx((159.5, 159.5), abs=2)
    inside = np.zeros((320, 320), bool)
    inside[max(0, -y0) : 400 - y0, max(0, -x0) : 500 - x0] = True
    assert (~inside).sum() >= 100 * 320
    assert alike(shown, (128, 128, 128))[~inside].mean() > 0.98
    assert (alike(shown, RED) | alike(shown, BACKGROUND))[:200][inside[:200]].mean() > 0.95, "below, there is the frame's number"


@pytest.mark.parametrize(
    "region", [(0, 0, 320, 241), (-1, 0, 320, 240), (320, 0, 420, 100), (-100, 20, 0, 120), (0, 240, 90, 330), (5, -90, 95, 0), (9, 9, 9, 20)]
)
def test_a_region_that_is_empty_larger_than_the_frame_or_all_outside_is_an_error(video: Written, region: tuple[int, int, int, int]) -> None:
    (error,) = made(video, [Picture(0, region)]).values()
    assert isinstance(error, InputError)
    assert error.kind == FailureKind.DAMAGED


sides = st.integers(1, 8000)


@given(sides, sides, st.integers(784, 2_000_000))
def test_sizes_keep_the_area_and_the_shape(width: int, height: int, pixels: int) -> None:
    wide, high = fitting_size((7, 9, 7 + width, 9 + height), pixels)
    assert 1 <= wide <= width
    assert 1 <= high <= height
    if width * height <= pixels:
        assert (wide, high) == (width, height)
    else:
        scale = math.sqrt(pixels / (width * height))
        assert wide * high <= pixels
        assert wide == pytest.approx(max(1, width * scale), abs=1.01) or min(wide, high) == 1
        assert high == pytest.approx(max(1, height * scale), abs=1.01) or min(wide, high) == 1


def test_quality_and_repetition(video: Written) -> None:
    picture = Picture(video.pts_ns[9], CODE)
    low, high, again = (made(video, [picture], PictureOptions(jpeg_quality=quality))[picture] for quality in (20, 90, 90))
    assert isinstance(low, bytes)
    assert isinstance(high, bytes)
    assert len(low) < len(high)
    assert high == again


def test_damage_costs_only_the_pictures_that_show_it(tmp_path: Path) -> None:
    video = write_video(tmp_path / "video.mp4", Kind.CONSTANT, frames=120, keyframe_interval=10)
    content = bytearray(video.path.read_bytes())
    data = content.index(b"mdat")
    middle = data + (len(content) - data) // 2
    content[middle : middle + 300] = bytes(300)
    video.path.write_bytes(content)
    jpegs = made(video, [Picture(time, CODE) for time in video.pts_ns[::5]])
    failed = [jpeg for jpeg in jpegs.values() if isinstance(jpeg, InputError)]
    assert 1 <= len(failed) <= 5
    assert {error.kind for error in failed} == {FailureKind.DAMAGED}
    shown = {picture.pts_ns: number(jpeg, CODE) for picture, jpeg in jpegs.items() if isinstance(jpeg, bytes)}
    assert shown == {time: video.numbers[video.pts_ns.index(time)] for time in shown}


def test_a_missing_video_is_an_error_of_every_picture(tmp_path: Path) -> None:
    with FramePictures(str(tmp_path / "missing.mp4"), PictureOptions()) as frames:
        jpegs = frames.jpegs([Picture(0, CODE), Picture(5, WHOLE)])
    assert len(jpegs) == 2
    assert {jpeg.kind for jpeg in jpegs.values() if isinstance(jpeg, InputError)} == {FailureKind.NOT_FOUND}


def test_the_file_is_opened_once_and_read_forwards(video: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    passes: list[list[int]] = []
    init, read = PyAVDecoder.__init__, PyAVDecoder.read

    def counted_init(self: PyAVDecoder, uri: str, threads: int = 1, index: None = None) -> None:
        opened.append(uri)
        init(self, uri, threads, index)

    def counted_read(self: PyAVDecoder, instants_ns: list[int]) -> object:
        passes.append(instants_ns)
        return read(self, instants_ns)

    monkeypatch.setattr(PyAVDecoder, "__init__", counted_init)
    monkeypatch.setattr(PyAVDecoder, "read", counted_read)
    with FramePictures(str(video.path), PictureOptions()) as frames:
        assert opened == []
        frames.jpegs([Picture(video.pts_ns[at], region) for at in (9, 2, 5, 2) for region in (CODE, WHOLE)])
        frames.jpegs([Picture(video.pts_ns[1], CODE)])
    assert len(opened) == 1
    assert passes == [[video.pts_ns[at] for at in (2, 5, 9)], [video.pts_ns[1]]]


def test_closing_waits_for_a_pass_and_ends_it(video: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = FramePictures(str(video.path), PictureOptions())
    under_way, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    encode, close = FramePictures._jpeg, PyAVDecoder.close

    def held(self: FramePictures, image: Image.Image, picture: Picture) -> bytes:
        under_way.set()
        assert go_on.wait(20)
        return encode(self, image, picture)

    def ask() -> None:
        with pytest.raises(RuntimeError, match="were closed"):
            frames.jpegs([Picture(time, CODE) for time in video.pts_ns])
        ended.set()

    def checked_close(self: PyAVDecoder) -> None:
        assert ended.wait(20) or not asking.is_alive(), "nobody closes a file that is being read"
        close(self)

    monkeypatch.setattr(FramePictures, "_jpeg", held)
    monkeypatch.setattr(PyAVDecoder, "close", checked_close)
    asking, closing = threading.Thread(target=ask), threading.Thread(target=frames.close)
    asking.start()
    assert under_way.wait(20)
    closing.start()
    assert frames._closed.wait(20)
    go_on.set()
    for thread in (asking, closing):
        thread.join(20)
        assert not thread.is_alive()
    frames.close()
    with pytest.raises(RuntimeError, match="were closed"):
        frames.jpegs([Picture(0, CODE)])
