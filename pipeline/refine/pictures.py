"""The pictures that a judge is sent: parts of a video's frames as JPEGs, no larger than what the model looks at."""

import io
import math
import threading
from collections import defaultdict
from collections.abc import Collection
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from pipeline.crops import Region
from pipeline.failures import InputError
from pipeline.refine.options import PictureOptions
from pipeline.refine.questions import Picture
from pipeline.video.decoders import Backend, open_decoder
from pipeline.video.index import VideoIndex
from pipeline.video.protocols import Decoder
from pipeline.video.reading import read_each
from schemas.vocabulary import FailureKind

OUTSIDE = (128, 128, 128)
"""Red, green and blue of what is not in the frame: a grey that is taken for nothing that is seen."""


class FramePictures:
    """Makes the pictures of one video.

    Part of a frame shows somebody who was seen in that very frame: where the video has no frame of that time, it is another video by
    now, and that is an error. A whole frame shows what a clip looks like at a moment, which is known from the clip's span alone: it is
    the frame on display then, the last one whose time is not after it. What a picture shows beyond the frame is grey.

    The file is opened when the first picture is asked for. It may be used from several threads; they take turns. A context manager:
    leaving it ends a pass that another thread is in, and closes the file.
    """

    def __init__(self, uri: str, options: PictureOptions, backend: Backend = "pyav", threads: int = 1) -> None:
        """Set up; nothing is read yet.

        Args:
            uri: of the video.
            options: size and quality of the pictures.
            backend: decoder.
            threads: of the decoder.
        """
        self._uri = uri
        self._options = options
        self._backend = backend
        self._threads = threads
        self._decoder: Decoder | None = None
        self._turn = threading.Lock()
        self._closed = threading.Event()

    def jpegs(self, pictures: Collection[Picture]) -> dict[Picture, bytes | InputError]:
        """Make pictures in one forward pass over the file.

        Returns:
            Each picture as the bytes of a JPEG file, or why it cannot be had, which says nothing about the others.

        Raises:
            RuntimeError: it was closed.
        """
        with self._turn:
            try:
                decoder = self._open()
            except InputError as error:
                return dict.fromkeys(pictures, error)
            return self._read(decoder, pictures)

    def close(self) -> None:
        """Close the file; calling it twice is fine."""
        self._closed.set()
        with self._turn:
            if self._decoder is not None:
                self._decoder.close()
                self._decoder = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self) -> Decoder:
        self._go_on()
        if self._decoder is None:
            self._decoder = open_decoder(self._uri, self._backend, self._threads)
        return self._decoder

    def _read(self, decoder: Decoder, pictures: Collection[Picture]) -> dict[Picture, bytes | InputError]:
        made: dict[Picture, bytes | InputError] = {}
        showing: dict[int, list[Picture]] = defaultdict(list)
        for picture in pictures:
            try:
                showing[_frame_time(decoder.index, picture)].append(picture)
            except InputError as error:
                made[picture] = error
        for pts_ns, frame in read_each(decoder, sorted(showing)):
            self._go_on()
            image = frame if isinstance(frame, InputError) else Image.fromarray(frame.rgb())
            made |= {picture: image if isinstance(image, InputError) else self._jpeg(image, picture) for picture in showing[pts_ns]}
        return made

    def _jpeg(self, image: Image.Image, picture: Picture) -> bytes:
        size = fitting_size(picture.region, self._options.pixels)
        file = io.BytesIO()
        image, box = _with_outside(image, picture.region)
        shown = image.resize(size, Image.Resampling.HAMMING, box=box, reducing_gap=3.0)
        shown.save(file, "JPEG", quality=self._options.jpeg_quality)
        return file.getvalue()

    def _go_on(self) -> None:
        if self._closed.is_set():
            raise RuntimeError(f"the pictures of {self._uri} were closed")


def fitting_size(region: Region, pixels: int) -> tuple[int, int]:
    """Width and height at which a region has no more than so many pixels; never larger than it is."""
    width, height = region[2] - region[0], region[3] - region[1]
    scale = min(1.0, math.sqrt(pixels / (width * height)))
    if scale == 1:
        return width, height
    narrow = max(1, math.floor(min(width, height) * scale))
    long = min(max(width, height), math.floor(max(width, height) * scale), pixels // narrow)
    return (narrow, long) if width < height else (long, narrow)


def _with_outside(image: Image.Image, region: Region) -> tuple[Image.Image, Region]:
    """An image that has all of a region, and where in it the region is; the image itself where the region does not reach beyond it."""
    x0, y0, x1, y1 = region
    if x0 >= 0 and y0 >= 0 and x1 <= image.width and y1 <= image.height:
        return image, region
    padded = Image.new("RGB", (x1 - x0, y1 - y0), OUTSIDE)
    padded.paste(image, (-x0, -y0))
    return padded, (0, 0, x1 - x0, y1 - y0)


def _frame_time(index: VideoIndex, picture: Picture) -> int:
    """The time of the frame that a picture shows.

    Raises:
        InputError: of kind DAMAGED, the video has no such frame, or the region is larger than its frames or all outside them.
    """
    x0, y0, x1, y1 = picture.region
    fits = 0 < x1 - x0 <= index.width and 0 < y1 - y0 <= index.height
    if not (fits and x0 < index.width and y0 < index.height and x1 > 0 and y1 > 0):
        raise InputError(FailureKind.DAMAGED, f"{index.uri} has frames of {index.width}x{index.height} without {picture.region}: run observe again")
    on_display = int(index.pts_ns[max(0, int(np.searchsorted(index.pts_ns, picture.pts_ns, "right")) - 1)])
    if picture.region != (0, 0, index.width, index.height) and on_display != picture.pts_ns:
        raise InputError(FailureKind.DAMAGED, f"{index.uri} has no frame at {picture.pts_ns} ns, where somebody was observed: run observe again")
    return on_display
