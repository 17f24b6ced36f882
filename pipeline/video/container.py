"""Opening a video file anywhere, and saying in plain words what is wrong with it when that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

import av
import av.container
import av.error
import av.video
import fsspec
from fsspec.implementations.local import LocalFileSystem

from pipeline.failures import InputError, classify
from schemas.vocabulary import FailureKind

PICTURE_FORMATS = ("image2", "tty")
"""Demuxers that show a picture or a text as if it were a film; those named ``*_pipe`` do too."""

REMOTE_STORAGE = ("aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "requests", "s3fs")
"""Packages whose errors are the storage's, though they are no OSErrors."""

GENERATE_MISSING_PTS: int = cast(int, av.container.Flags.gen_pts.value)


class VideoError(InputError):
    """A video that cannot be read; the message names the file and says what to do."""


@contextmanager
def open_video(uri: str) -> Iterator[tuple[av.container.InputContainer, av.video.VideoStream]]:
    """The container and the video stream of a local file or any fsspec URL; leaving it closes both, and the file below.

    Times that the container leaves out are filled in by FFmpeg where it can; packets of other streams are not read.

    Raises:
        VideoError: see ``translated``; also when there is no video stream, or no decoder for it.
    """
    with translated(uri), _opened(uri) as container:
        container.flags |= GENERATE_MISSING_PTS
        stream = _video_stream(container, uri)
        for other in container.streams:
            if other is not stream:
                other.discard = av.stream.Discard.all
        yield container, stream


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turns the errors of FFmpeg and of the storage into VideoError.

    Raises:
        VideoError: of kind NOT_FOUND, NO_PERMISSION, NOT_A_VIDEO, DAMAGED, UNSUPPORTED, MISSING_DEPENDENCY or STORAGE.
    """
    try:
        yield
    except InputError:
        raise
    except IsADirectoryError as error:
        raise VideoError(FailureKind.NOT_A_VIDEO, f"{uri} is a folder: give the files in it") from error
    except av.error.InvalidDataError as error:
        raise _not_readable(uri, error) from error
    except (av.error.DecoderNotFoundError, av.error.PatchWelcomeError) as error:
        raise VideoError(FailureKind.UNSUPPORTED, f"{uri}: FFmpeg cannot decode it ({error.strerror}): convert it to H.264") from error
    except FileNotFoundError as error:
        raise VideoError(FailureKind.NOT_FOUND, f"{uri} does not exist: check the path and that this machine can see it") from error
    except PermissionError as error:
        raise VideoError(FailureKind.NO_PERMISSION, f"{uri} may not be read: check its permissions and your credentials") from error
    except OSError as error:
        kind, message = classify(error)
        raise VideoError(kind, f"{uri} cannot be read ({message}): check that the storage is reachable, then try again") from error
    except ImportError as error:
        raise VideoError(FailureKind.MISSING_DEPENDENCY, f"{uri} needs a package that is not installed ({error})") from error
    except av.error.FFmpegError as error:
        raise VideoError(FailureKind.DAMAGED, f"{uri} cannot be read ({error}): check that it plays, or fetch it again") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in REMOTE_STORAGE:
            raise
        raise VideoError(FailureKind.STORAGE, f"{uri} cannot be read ({type(error).__name__}: {error}): check the address and your credentials") from error


def file_system(uri: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The fsspec file system of a path or URL, and the path in it.

    Raises:
        VideoError: of kind STORAGE, there is no such protocol.
        ImportError: the protocol's package is not installed.
    """
    try:
        system, path = fsspec.core.url_to_fs(uri)
    except ValueError as error:
        raise VideoError(FailureKind.STORAGE, f"{uri}: {error}; give a path or a URL that fsspec knows, such as s3:// or https://") from error
    return system, path


@contextmanager
def _opened(uri: str) -> Iterator[av.container.InputContainer]:
    system, path = file_system(uri)
    if isinstance(system, LocalFileSystem):
        with av.open(path, "r", metadata_errors="replace") as container:
            yield container
    else:
        with system.open(path, "rb") as file, av.open(cast(BinaryIO, file), "r", metadata_errors="replace") as container:
            yield container


def _video_stream(container: av.container.InputContainer, uri: str) -> av.video.VideoStream:
    kind = container.format.name
    if kind in PICTURE_FORMATS or kind.endswith("_pipe"):
        raise VideoError(FailureKind.NOT_A_VIDEO, f"{uri} is not a video but a picture or text ({kind}): take it off the list")
    stream = cast(av.video.VideoStream | None, container.streams.best("video"))
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
        if not container.streams.audio and stream is None:
            raise VideoError(FailureKind.NOT_A_VIDEO, f"{uri} is not a video (FFmpeg takes it for {kind}): take it off the list")
        raise VideoError(FailureKind.NO_VIDEO_STREAM, f"{uri} has no video stream, only sound or a cover picture: take it off the list")
    if stream.codec_context is None:
        raise VideoError(FailureKind.UNSUPPORTED, f"{uri}: this FFmpeg has no decoder for its video codec: convert it to H.264")
    return stream


def _not_readable(uri: str, error: Exception) -> VideoError:
    """Tells an empty file, a broken video and something else apart by the first bytes."""
    system, path = file_system(uri)
    with system.open(path, "rb") as file:
        start = bytes(file.read(512))
    if not start:
        return VideoError(FailureKind.NOT_A_VIDEO, f"{uri} is empty: fetch it again or take it off the list")
    containers = {4: (b"ftyp", b"moov", b"mdat", b"wide"), 0: (b"\x1a\x45\xdf\xa3", b"RIFF", b"\x00\x00\x01\xba", b"FLV", b"OggS"), 188: (b"G",)}
    if any(start[offset : offset + len(magic)] == magic for offset, magics in containers.items() for magic in magics):
        return VideoError(FailureKind.DAMAGED, f"{uri} starts like a video ({Path(path).suffix or 'no suffix'}) but cannot be read ({error}): fetch it again")
    return VideoError(FailureKind.NOT_A_VIDEO, f"{uri} is not a video: take it off the list")
