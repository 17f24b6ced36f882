"""Test videos whose every frame carries its own number, and whose sound carries its own time, so that a test can tell which one it got.

The number is drawn in the lower third of the picture, as two rows of sixteen black and white blocks: 16 bits of number, 12 bits of check,
4 marks that differ when the picture is turned or mirrored. It survives H.264 and scaling down to about 64 pixels of width.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

Image = NDArray[np.uint8]

COLUMNS, ROWS = 16, 2
MARKS = {0: 1, COLUMNS - 1: 0, COLUMNS: 0, 2 * COLUMNS - 1: 1}
"""Block number to bit, in the four corners of the code."""
SOUND_RATE = 48000
CHIRP_START, CHIRP_RISE = 400.0, 200.0
"""Hz at time zero, and Hz per second."""


class Kind(Enum):
    """What is special about a test video's times."""

    CONSTANT = "constant"
    """25 frames per second, no B-frames."""
    VARIABLE = "variable"
    """Frames of very different lengths."""
    B_FRAMES = "b_frames"
    """Order of decoding is not order of presentation."""
    SLOW = "slow"
    """5 frames per second, fewer than any clip has; B-frames."""
    LATE_START = "late_start"
    """The first frame is at 1.4 s."""
    FILM = "film"
    """24000/1001 frames per second, B-frames."""
    ROTATED = "rotated"
    """Coded lying on its side, with a display matrix that turns it clockwise by 90 degrees; B-frames."""
    EDIT_LIST = "edit_list"
    """The container's edit list hides the first seven frames, so the presentation starts in the middle of a group of pictures; B-frames."""


@dataclass(frozen=True)
class Written:
    """The truth about a test video.

    Attributes:
        path: the file.
        pts_ns: presentation time of each displayed frame, rounded to the nanosecond.
        numbers: the number drawn in each of them.
        width: as displayed.
        height: as displayed.
    """

    path: Path
    pts_ns: list[int]
    numbers: list[int]
    width: int
    height: int

    def number_at(self, instant_ns: int) -> int:
        """The number of the frame nearest to an instant, the earlier one when two are equally near."""
        return self.numbers[min(range(len(self.pts_ns)), key=lambda k: (abs(self.pts_ns[k] - instant_ns), k))]


@dataclass(frozen=True)
class _Timing:
    time_base: Fraction
    steps: tuple[int, ...]
    """Ticks each frame lasts, repeated."""
    first: int = 0
    b_frames: int = 0
    turn: int = 0
    hidden: int = 0


_TIMINGS = {
    Kind.CONSTANT: _Timing(Fraction(1, 12800), (512,)),
    Kind.VARIABLE: _Timing(Fraction(1, 600), (20, 25, 25, 60, 10, 12, 90, 24), b_frames=2),
    Kind.B_FRAMES: _Timing(Fraction(1, 12800), (512,), b_frames=3),
    Kind.SLOW: _Timing(Fraction(1, 10240), (2048,), b_frames=2),
    Kind.LATE_START: _Timing(Fraction(1, 12800), (512,), first=17920, b_frames=2),
    Kind.FILM: _Timing(Fraction(1, 24000), (1001,), b_frames=3),
    Kind.ROTATED: _Timing(Fraction(1, 12800), (512,), b_frames=2, turn=90),
    Kind.EDIT_LIST: _Timing(Fraction(1, 12800), (512,), b_frames=2, hidden=7),
}


def write_video(
    path: Path,
    kind: Kind = Kind.CONSTANT,
    frames: int = 50,
    width: int = 320,
    height: int = 240,
    keyframe_interval: int = 12,
    audio: bool = False,
    picture: Callable[[int], Image] | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    time_base: Fraction | None = None,
    turn: int | None = None,
) -> Written:
    """Write a video whose k-th frame carries the number k.

    Args:
        path: the suffix chooses the container.
        kind: what is special about its times.
        frames: how many are coded; an edit list displays fewer.
        width: of the displayed picture, pixels.
        height: of the displayed picture, pixels.
        keyframe_interval: frames from keyframe to keyframe.
        audio: with a rising tone that tells the time; see chirp and read_time.
        picture: draws frame k, (height, width, 3); the number is stamped over its lower third. A quiet gray when None.
        codec: FFmpeg's name of the video encoder.
        options: of the encoder.
        time_base: of the container's stream, for containers that choose their own: times are rounded to it.
        turn: clockwise degrees for display, overriding the kind's.
    """
    timing = _TIMINGS[kind]
    turn = timing.turn if turn is None else turn
    ticks = _ticks(timing, frames)
    turned = turn in (90, 270)
    with av.open(path, "w", options={"avoid_negative_ts": "disabled"} if timing.hidden else {}) as container:
        stream = cast(av.VideoStream, container.add_stream(codec, rate=Fraction(1) / (timing.time_base * timing.steps[0])))
        stream.width, stream.height = (height, width) if turned else (width, height)
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = timing.time_base
        stream.codec_context.gop_size = keyframe_interval
        stream.codec_context.max_b_frames = timing.b_frames
        stream.codec_context.thread_count = 1
        x264 = {"preset": "veryfast", "crf": "20", "x264-params": f"keyint={keyframe_interval}:scenecut=0:bframes={timing.b_frames}:b-adapt=0"}
        stream.options = dict(options if options is not None else x264 if codec == "libx264" else {})
        if turn:
            stream.set_display_rotation(-turn)
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="mono") if audio else None
        for number, tick in enumerate(ticks):
            image = stamp(picture(number) if picture else np.full((height, width, 3), 110, np.uint8), number)
            coded = av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(image, turn // 90)), format="rgb24")
            coded.pts, coded.time_base = tick, timing.time_base
            container.mux(stream.encode(coded))
        container.mux(stream.encode(None))
        if sound is not None:
            end = ticks[-1] + timing.steps[(frames - 1) % len(timing.steps)]
            _write_sound(container, sound, float(max(0, ticks[0]) * timing.time_base), float(end * timing.time_base))
    shown = [(tick, number) for number, tick in enumerate(ticks) if tick >= 0]
    return Written(path, [_nanoseconds(tick * timing.time_base, time_base) for tick, _ in shown], [number for _, number in shown], width, height)


def stamp(picture: Image, number: int) -> Image:
    """A copy of a picture (height, width, 3) with a number, 0 … 65535, drawn over its lower third."""
    stamped = picture.copy()
    bits = _bits(number)
    for block, (rows, columns) in enumerate(_blocks(picture.shape[0], picture.shape[1])):
        stamped[rows, columns] = 255 * bits[block]
    return stamped


def read_number(rgb: Image) -> int:
    """The number drawn in a picture of any scale.

    Raises:
        ValueError: there is none that can be read for certain: blurred, blended from two frames, turned, mirrored or cut off.
    """
    levels = []
    for rows, columns in _blocks(rgb.shape[0], rgb.shape[1]):
        block = rgb[rows, columns]
        high, wide = block.shape[0] // 4, block.shape[1] // 4
        levels.append(float(block[high : block.shape[0] - high, wide : block.shape[1] - wide].mean()))
    if doubtful := [round(level) for level in levels if 90 < level < 165]:
        raise ValueError(f"blocks that are neither black nor white: {doubtful}")
    bits = [int(level > 127) for level in levels]
    data = [bit for block, bit in enumerate(bits) if block not in MARKS]
    number = sum(bit << place for place, bit in enumerate(data[:16]))
    if bits != _bits(number):
        raise ValueError(f"the code reads {number}, but its check bits or marks do not fit")
    return number


def chirp(seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The tone at given times: its pitch rises by 200 Hz a second from 400 Hz."""
    phase: NDArray[np.float64] = 2 * np.pi * (CHIRP_START * seconds + CHIRP_RISE / 2 * seconds**2)
    return (0.5 * np.sin(phase)).astype(np.float32)


def read_time(samples: NDArray[np.float32], rate: int) -> float:
    """The time, in seconds, that the middle of a piece of the tone (about 0.1 to 0.5 s, mono) carries; right to about a millisecond.

    The piece is multiplied with a falling chirp, which leaves a steady tone whose pitch is the time's.
    """
    offsets = (np.arange(len(samples)) - (len(samples) - 1) / 2) / rate
    steady = samples * np.exp(-1j * np.pi * CHIRP_RISE * offsets**2) * np.hanning(len(samples))
    size = 1 << 20
    spectrum = np.abs(np.fft.fft(steady, size))[: size // 2]
    return float((np.argmax(spectrum) * rate / size - CHIRP_START) / CHIRP_RISE)


def _write_sound(container: OutputContainer, stream: av.AudioStream, start: float, end: float) -> None:
    for first in range(round(start * SOUND_RATE), round(end * SOUND_RATE), 1024):
        block = chirp(np.arange(first, first + 1024) / SOUND_RATE)[None]
        samples = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        samples.sample_rate, samples.pts, samples.time_base = SOUND_RATE, first, Fraction(1, SOUND_RATE)
        container.mux(stream.encode(samples))
    container.mux(stream.encode(None))


def _ticks(timing: _Timing, frames: int) -> list[int]:
    ticks = [timing.first]
    for number in range(frames - 1):
        ticks.append(ticks[-1] + timing.steps[number % len(timing.steps)])
    return [tick - ticks[timing.hidden] + timing.first for tick in ticks] if timing.hidden else ticks


def _nanoseconds(seconds: Fraction, time_base: Fraction | None) -> int:
    rounded = int(seconds / time_base + Fraction(1, 2)) * time_base if time_base else seconds
    return int(rounded * 1_000_000_000 + Fraction(1, 2))


def _bits(number: int) -> list[int]:
    check = (number * 2654435761 >> 7 ^ 0x5A5) & 0xFFF
    data = iter([*(number >> place & 1 for place in range(16)), *(check >> place & 1 for place in range(12))])
    return [MARKS[block] if block in MARKS else next(data) for block in range(COLUMNS * ROWS)]


def _blocks(height: int, width: int) -> Sequence[tuple[slice, slice]]:
    """Where the blocks are, row by row, in the lower third."""
    top, tall = height * 2 / 3, height / 3 / ROWS
    wide = width / COLUMNS
    rows = [slice(round(top + row * tall), round(top + (row + 1) * tall)) for row in range(ROWS)]
    columns = [slice(round(column * wide), round((column + 1) * wide)) for column in range(COLUMNS)]
    return [(row, column) for row in rows for column in columns]
