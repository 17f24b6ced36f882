"""Cutting a video into shots, while its frames go by, with the detectors of PySceneDetect (https://www.scenedetect.com).

The detectors count frames; times are ours, so variable frame rates and late starts make no difference. A cut is known only after a few
more frames (the adaptive detector compares a frame with its neighbours on both sides): what was seen in the meantime is given to its shot
when the shots are asked for at the end.
"""

from array import array
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector, ThresholdDetector

from pipeline.video.clock import SECOND

SMALL_SIDE = 128
"""Pixels of the longer side of the pictures that shots are told from."""
SMOOTHING = (3, 3)
"""Pixels averaged before frames are compared: in dark pictures the hue is noise, which looks like change."""
FRAME_RATE = 25.0
"""PySceneDetect wants one; only frame numbers are used."""


@dataclass(frozen=True)
class ShotOptions:
    """How cuts are found."""

    detector: Literal["adaptive", "content"] = "adaptive"
    """adaptive: a change that stands out from the frames around it (steady under camera motion); content: any change above its threshold."""
    adaptive_ratio: float = 3.0
    """adaptive: how many times greater than the mean change of the two frames before and after a cut's change must be."""
    adaptive_minimum: float = 15.0
    """adaptive: least change of a cut, mean of hue, saturation and brightness, 0..255."""
    content_threshold: float = 27.0
    """content: least change of a cut, mean of hue, saturation and brightness, 0..255."""
    fades: bool = True
    """Also cut in the middle of a fade through black."""
    fade_brightness: float = 4.0
    """Mean brightness, 0..255, below which a frame is black."""
    min_shot_seconds: float = 0.1
    """A cut that follows another sooner than this is dropped, as behind a flash or a single black frame."""


@dataclass(frozen=True, slots=True)
class Shot:
    """The frames with start_ns <= pts_ns < end_ns, of which there are frame_count."""

    start_ns: int
    end_ns: int
    frame_count: int


def small_size(width: int, height: int) -> tuple[int, int]:
    """Width and height to ask a displayed picture in, so that its longer side has SMALL_SIDE pixels."""
    scale = SMALL_SIDE / max(width, height)
    return max(8, round(width * scale)), max(8, round(height * scale))


class ShotDetector:
    """Fed with every frame of a segment, in order; tells its shots at the end."""

    def __init__(self, options: ShotOptions | None = None) -> None:
        self._options = options or ShotOptions()
        self._pts_ns = array("q")
        self._found: set[int] = set()
        self._last: NDArray[np.uint8] | None = None
        self._detectors = _detectors(self._options)
        self._ahead = max((detector.event_buffer_length for detector in self._detectors), default=0)

    def add(self, pts_ns: int, small_rgb: NDArray[np.uint8]) -> None:
        """The next frame.

        Args:
            pts_ns: its presentation time, later than the last one's.
            small_rgb: (height, width, 3), of the same size for all frames; see small_size.

        Raises:
            ValueError: the frame is not later than the one before.
        """
        if self._pts_ns and pts_ns <= self._pts_ns[-1]:
            raise ValueError(f"frames must come in order of time, but {pts_ns} ns follows {self._pts_ns[-1]} ns")
        bgr = np.asarray(cv2.blur(cv2.cvtColor(small_rgb, cv2.COLOR_RGB2BGR), SMOOTHING), np.uint8)
        if self._last is None:
            for number in range(self._ahead):
                self._feed(number, bgr)
        self._feed(len(self._pts_ns) + self._ahead, bgr)
        self._pts_ns.append(pts_ns)
        self._last = bgr

    def cuts(self) -> list[int]:
        """Times of the first frames after the cuts known so far, ascending; the last few frames are still open."""
        cuts: list[int] = []
        for number in sorted(number for number in self._found if 0 < number < len(self._pts_ns)):
            time = self._pts_ns[number]
            if time - (cuts[-1] if cuts else self._pts_ns[0]) >= self._options.min_shot_seconds * SECOND:
                cuts.append(time)
        return cuts

    def finish(self, end_ns: int) -> list[Shot]:
        """The shots of all that was added: they follow one another without gaps and are together the whole. Nothing can be added after.

        Args:
            end_ns: end of the last frame, exclusive.

        Raises:
            ValueError: end_ns is not later than the last frame.
        """
        if not self._pts_ns:
            return []
        if end_ns <= self._pts_ns[-1]:
            raise ValueError(f"the end, {end_ns} ns, must be later than the last frame, {self._pts_ns[-1]} ns")
        if self._last is not None:
            for number in range(self._ahead):
                self._feed(len(self._pts_ns) + self._ahead + number, self._last)
            self._last = None
        pts_ns = np.frombuffer(self._pts_ns, np.int64)
        starts = [int(pts_ns[0]), *self.cuts()]
        firsts = [*np.searchsorted(pts_ns, starts).tolist(), len(pts_ns)]
        ends = [*starts[1:], end_ns]
        return [Shot(start, end, firsts[k + 1] - firsts[k]) for k, (start, end) in enumerate(zip(starts, ends, strict=True))]

    def _feed(self, number: int, bgr: NDArray[np.uint8]) -> None:
        """The first and the last frame are fed repeatedly, so that a cut right beside them has neighbours on both sides too."""
        timecode = FrameTimecode(number, FRAME_RATE)
        for detector in self._detectors:
            self._found.update(cut.frame_num - self._ahead for cut in detector.process_frame(timecode, bgr))


def _detectors(options: ShotOptions) -> list[Any]:
    """PySceneDetect's own minimum length is off: it counts frames, and from the start of the segment."""
    detectors: list[Any] = []
    if options.detector == "adaptive":
        detectors.append(AdaptiveDetector(options.adaptive_ratio, min_scene_len=0, min_content_val=options.adaptive_minimum))
    else:
        detectors.append(ContentDetector(options.content_threshold, min_scene_len=0))
    if options.fades:
        detectors.append(ThresholdDetector(options.fade_brightness, min_scene_len=0))
    return detectors
