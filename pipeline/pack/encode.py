"""The clip's video file: H.264 in MP4 at a constant rate. The same frames give the same bytes.

Written so that every reader finds the same frames at the same times: no B-frames, hence no edit list and a first frame at time 0;
one thread, closed groups of pictures of fixed length; BT.709, limited range, and tagged so (ITU-R BT.709; H.264 Annex E).
"""

import tempfile
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

from pipeline.pack.options import PackOptions

_EXACT = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP | Interpolation.BITEXACT
_BT709 = 1
"""Code point of BT.709 for primaries, transfer and matrix alike (ITU-T H.273)."""


class ClipEncoder:
    """Encodes frames as they come; holds some tens of frames, however long the clip. A context manager: leaving it removes its files.

    Attributes:
        frame_count: frames added so far.
        folder: where the file grows; FFmpeg must read it back to move its header to the front.
    """

    def __init__(self, width: int, height: int, rate: Fraction, options: PackOptions) -> None:
        """Open an encoder.

        Args:
            width, height: pixels of every frame, even.
            rate: frames per second.
            options: quality.
        """
        self.frame_count = 0
        self._shape = (height, width, 3)
        self._temporary = tempfile.TemporaryDirectory(prefix="gloria-clip-")
        self.folder = Path(self._temporary.name)
        self._path = self.folder / "clip.mp4"
        self._container = av.open(str(self._path), "w", format="mp4", options={"movflags": "+faststart", "use_editlist": "0", "fflags": "+bitexact"})
        self._stream = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        self._stream.time_base = 1 / rate
        context = self._stream.codec_context
        context.time_base, context.thread_count, context.max_b_frames, context.gop_size = 1 / rate, 1, 0, options.keyframe_interval
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = int(ColorRange.MPEG)
        interval = options.keyframe_interval
        # Macroblock trees make libx264 give other bytes for the same frames now and then, also on one thread: 3 encodings of 960 did, none of 960 without.
        x264 = f"threads=1:scenecut=0:mbtree=0:rc-lookahead=0:keyint={interval}:min-keyint={interval}"
        context.options = {"crf": str(options.crf), "preset": options.preset, "x264-params": x264}
        self._reformatter = VideoReformatter()

    def add(self, rgb: NDArray[np.uint8]) -> None:
        """Append a frame.

        Args:
            rgb: (height, width, 3).
        """
        if rgb.shape != self._shape:
            raise ValueError(f"frames of this clip are {self._shape}, not {rgb.shape}")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = self._reformatter.reformat(
            picture,
            format="yuv420p",
            interpolation=_EXACT,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_color_trc=ColorTrc.BT709,
            dst_color_primaries=ColorPrimaries.BT709,
        )
        frame.pts, frame.time_base, frame.duration = self.frame_count, self._stream.codec_context.time_base, 1
        self._container.mux(self._stream.encode(frame))
        self.frame_count += 1

    def finish(self) -> bytes:
        """The file's bytes; nothing can be added after this."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._path.read_bytes()

    def close(self) -> None:
        """Remove the files; calling it twice is fine."""
        self._container.close()
        self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
