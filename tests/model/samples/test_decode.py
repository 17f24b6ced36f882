import io
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

from model.samples.decode import decode_audio, decode_picture, decode_video
from pipeline.pack.audio import encode_flac
from pipeline.pack.encode import ClipEncoder
from pipeline.pack.options import PackOptions
from schemas.sample import SampleError

FRAMES, WIDTH, HEIGHT = 40, 96, 64
UNTURNED = (0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000)
QUARTER_CLOCKWISE = (0, 0x00010000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000)
"""Matrices of a track header (ISO 14496-12, 8.3.2): the second one asks to be shown a quarter turned."""


def picture(number: int) -> NDArray[np.uint8]:
    """Brighter with every frame; red grows to the right, green downwards."""
    rgb = np.full((HEIGHT, WIDTH, 3), 6 * number, np.uint8)
    rgb[..., 0] = np.linspace(0, 255, WIDTH)[None]
    rgb[..., 1] = np.linspace(0, 255, HEIGHT)[:, None]
    return rgb


@pytest.fixture(scope="module")
def clip() -> bytes:
    with ClipEncoder(WIDTH, HEIGHT, Fraction(16), PackOptions(crf=4, preset="ultrafast")) as encoder:
        for number in range(FRAMES):
            encoder.add(picture(number))
        return encoder.finish()


def foreign(pts: list[int]) -> bytes:
    """As others encode: B-frames, groups of pictures that reach into one another, an edit list, frames at any times."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(30))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 600)
        stream.options = {"crf": "4", "x264-params": "bframes=3:open-gop=1:keyint=8:min-keyint=8:scenecut=0"}
        for number, time in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format="yuv420p", src_color_range=2, dst_color_range=1)
            frame.pts, frame.time_base = time, Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def numbers(frames: NDArray[np.uint8]) -> list[int]:
    """Which frames they are, by their blue."""
    return [round(float(frame[..., 2].mean()) / 6) for frame in frames]


@pytest.mark.parametrize(("first", "count"), [(0, FRAMES), (0, 1), (15, 3), (16, 5), (31, 9), (39, 1)])
def test_the_frames_asked_for_come_as_they_were_packed(clip: bytes, first: int, count: int) -> None:
    frames = decode_video(clip, first, count, WIDTH, HEIGHT)
    assert frames.shape == (count, HEIGHT, WIDTH, 3)
    truth = np.stack([picture(number) for number in range(first, first + count)])
    assert np.abs(frames.astype(int) - truth).mean() < 2
    assert numbers(frames) == list(range(first, first + count))


def test_a_part_has_the_same_bits_as_the_whole(clip: bytes) -> None:
    whole = decode_video(clip, 0, FRAMES, 48, 32)
    assert all(np.array_equal(decode_video(clip, first, 4, 48, 32), whole[first : first + 4]) for first in (0, 7, 16, 36))


@pytest.mark.parametrize("pts", [[20 * number for number in range(FRAMES)], [20 * number + (number % 3) * 7 for number in range(FRAMES)]])
def test_frames_of_others_are_counted_as_they_are_shown(pts: list[int]) -> None:
    video = foreign(pts)
    assert all(numbers(decode_video(video, first, 6, WIDTH, HEIGHT)) == list(range(first, first + 6)) for first in (0, 5, 7, 8, 9, 34))


def test_frames_are_scaled_to_cover_and_cropped_about_their_middle(clip: bytes) -> None:
    square = decode_video(clip, 0, 1, 32, 32)[0].astype(int)  # 96x64 becomes 48x32, and loses 8 columns at each side
    truth = np.asarray(Image.fromarray(picture(0)).resize((48, 32), Image.Resampling.BICUBIC))[:, 8:40].astype(int)
    assert np.abs(square - truth).mean() < 3
    assert abs(int(square[16, 0, 0]) - 255 * 8.5 / 48) < 6


def test_a_video_that_is_to_be_shown_turned_is_turned(clip: bytes) -> None:
    unturned, turned = (b"".join(number.to_bytes(4, "big") for number in matrix) for matrix in (UNTURNED, QUARTER_CLOCKWISE))
    at = clip.index(unturned, clip.index(b"tkhd"))
    upright = decode_video(clip[:at] + turned + clip[at + len(turned) :], 3, 1, HEIGHT, WIDTH)[0]
    assert np.array_equal(upright, np.rot90(decode_video(clip, 3, 1, WIDTH, HEIGHT)[0], -1))


def test_damage_is_said_with_the_name(clip: bytes) -> None:
    with pytest.raises(SampleError, match=r"clip-7: the video has \d+ frames, not 40"):
        decode_video(clip[: len(clip) // 2], 0, FRAMES, WIDTH, HEIGHT, "clip-7")
    with pytest.raises(SampleError, match="clip-7"):
        decode_video(b"no video", 0, 1, WIDTH, HEIGHT, "clip-7")
    with pytest.raises(SampleError, match="clip-7: the video has 40 frames, not 41"):
        decode_video(clip, 1, FRAMES, WIDTH, HEIGHT, "clip-7")
    with pytest.raises(SampleError, match=r"clip-7.anchor-00.jpg: the picture cannot be decoded"):
        decode_picture(b"no picture", 8, 8, "clip-7.anchor-00.jpg")
    with pytest.raises(SampleError, match="clip-7: the sound cannot be decoded"):
        decode_audio(b"no sound", "clip-7")
    flac = encode_flac(np.zeros(100, np.int16))
    with pytest.raises(SampleError, match="clip-7: the sound cannot be decoded"):
        decode_audio(flac[:20], "clip-7")


def test_bytes_lost_in_the_middle_of_a_video_are_noticed(clip: bytes) -> None:
    start = clip.index(b"mdat") + 4
    lost = clip[:start] + bytes(len(clip) - start)
    with pytest.raises(SampleError, match="clip-7"):
        decode_video(lost, 0, FRAMES, WIDTH, HEIGHT, "clip-7")


def test_a_picture_of_the_size_is_not_touched() -> None:
    file = io.BytesIO()
    Image.fromarray(picture(5)).save(file, "PNG")
    assert np.array_equal(decode_picture(file.getvalue(), WIDTH, HEIGHT), picture(5))
    assert decode_picture(file.getvalue(), 32, 32).shape == (32, 32, 3)


def test_our_sound_comes_back_to_the_bit() -> None:
    samples = np.random.default_rng(0).integers(-32768, 32767, 81_000, dtype=np.int16)
    sound = decode_audio(encode_flac(samples))
    assert sound.dtype == np.float32
    assert np.array_equal(sound, samples.astype(np.float32) / 32768)


def test_other_sound_is_mixed_and_resampled() -> None:
    time = np.arange(48_000) / 48_000
    tone = 0.5 * np.sin(2 * np.pi * 440 * time)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone, tone], 1), 48_000, format="WAV")
    sound = decode_audio(file.getvalue())
    assert abs(len(sound) - 16_000) <= 16
    assert np.argmax(np.abs(np.fft.rfft(sound))) == pytest.approx(440 * len(sound) / 16_000, abs=1)
    crossings = [number for number, (one, other) in enumerate(pairwise(sound)) if one < 0 <= other]
    assert len(crossings) == pytest.approx(440, abs=1)
