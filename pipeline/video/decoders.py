"""The one door to the decoders: which there are, and opening a video with one."""

from typing import Literal

from pipeline.video.index import VideoIndex
from pipeline.video.protocols import Decoder

Backend = Literal["pyav", "decord"]


def open_decoder(uri: str, backend: Backend = "pyav", threads: int = 1, index: VideoIndex | None = None) -> Decoder:
    """An open decoder; use it in a ``with`` block.

    Args:
        uri: local path or any fsspec URL (decord: local paths only).
        backend: ``pyav`` reads everything FFmpeg does; ``decord`` is there for comparison and reads less.
        threads: decoding threads.
        index: of this video, when it is known already; read from the file otherwise.

    Raises:
        VideoError: the video cannot be opened, or not by this backend.
        InputError: of kind MISSING_DEPENDENCY, the backend is not installed.
        ValueError: there is no such backend.
    """
    match backend:
        case "pyav":
            from pipeline.video.pyav_decoder import PyAVDecoder

            return PyAVDecoder(uri, threads, index)
        case "decord":
            from pipeline.video.decord_decoder import DecordDecoder

            return DecordDecoder(uri, threads, index)
        case _:
            raise ValueError(f"there is no decoder {backend!r}; choose pyav or decord")
