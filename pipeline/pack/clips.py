"""Clips of one video to samples: the anchors' frames first, then every clip's frames, each in one forward pass over the file.

Memory holds one picture, the anchors' JPEGs, and for each clip that spans the current frame one encoder; it does not grow with the
video's length or the number of clips.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.anchor_frames import anchor_jpegs, check_identity
from pipeline.failures import InputError
from pipeline.pack.audio import AudioReader, encode_flac
from pipeline.pack.buckets import Bucket, choose_bucket
from pipeline.pack.encode import ClipEncoder
from pipeline.pack.grid import exact_rate, frame_instants, sample_count
from pipeline.pack.options import PackOptions
from pipeline.pack.superset import is_inside
from pipeline.pack.tasks import PackTask
from pipeline.video.decoders import open_decoder
from pipeline.video.index import VideoIndex
from pipeline.video.protocols import Decoder, Frame
from pipeline.video.reading import read_each
from schemas.sample import AUDIO_RATE, Sample, SampleAnchor, SampleMetadata, anchor_file
from schemas.vocabulary import SUBCLASSES, AnchorKind

Result = tuple[PackTask, Sample | InputError]


def pack_clips(uri: str, tasks: Sequence[PackTask], options: PackOptions) -> Iterator[Result]:
    """Make the samples of some clips of one video; yields them in the order their last frames come.

    Frame i of a clip is, among the source frames whose time lies in [start_ns, end_ns), the one nearest to start_ns + i / frame_rate, the
    earlier one of two: a slow source cannot bring in the next shot. When no frame's time lies there, the one on display at start_ns stands
    for the whole clip. An anchor's picture is the frame at its pts_ns. A clip that cannot be made comes with the error that says why, and
    does not keep others from being made.

    Args:
        uri: the video.
        tasks: what to make; clips of this video.
        options: how.
    """
    with ExitStack() as resources:
        try:
            decoder = resources.enter_context(open_decoder(uri, options.decoder, options.threads))
            check_identity(decoder.index, (str(task.clip["video_id"]) for task in tasks))
            bucket = choose_bucket(decoder.index.width, decoder.index.height, options.area, options.upscale)
            audio = resources.enter_context(AudioReader(uri)) if options.audio else None
        except InputError as error:
            yield from ((task, error) for task in tasks)
            return
        times = (int(anchor["pts_ns"]) for task in tasks for anchor in task.anchors)
        pictures = anchor_jpegs(decoder, times, lambda frame: _picture(frame, bucket), options.jpeg_quality)
        yield from _clip_samples(decoder, audio, tasks, pictures, bucket, options)


def _clip_samples(
    decoder: Decoder, audio: AudioReader | None, tasks: Sequence[PackTask], pictures: Mapping[int, bytes | InputError], bucket: Bucket, options: PackOptions
) -> Iterator[Result]:
    """Feed each frame to the encoders of the clips that show it."""
    showing: dict[int, list[_Clip]] = defaultdict(list)
    with ExitStack() as resources:
        for task in tasks:
            lost = [error for anchor in task.anchors if isinstance(error := pictures[anchor["pts_ns"]], InputError)]
            if lost:
                yield task, lost[0]
                continue
            clip = _Clip(task, decoder.index, bucket, options)
            resources.callback(clip.close)
            for pts_ns in clip.times:
                showing[pts_ns].append(clip)
        for pts_ns, frame in read_each(decoder, sorted(showing), lambda pts_ns: any(not clip.closed for clip in showing[pts_ns])):
            open_clips = [clip for clip in showing.pop(pts_ns) if not clip.closed]
            picture = _picture(frame, bucket) if open_clips and not isinstance(frame, InputError) else None
            for clip in open_clips:
                if isinstance(frame, InputError):
                    clip.close()
                    yield clip.task, frame
                elif picture is not None and clip.add(pts_ns, picture):
                    yield clip.task, clip.finish(audio, pictures)


class _Clip:
    """A clip in the making.

    Attributes:
        task: what it is made for.
        times: presentation times of the source frames it shows, to how many of its frames show each.
        closed: nothing more can be added.
    """

    def __init__(self, task: PackTask, index: VideoIndex, bucket: Bucket, options: PackOptions) -> None:
        self.task = task
        self.times = Counter(index.pts_ns[_positions(task.clip, index)].tolist())
        self.closed = False
        self._bucket = bucket
        self._options = options
        self._encoder: ClipEncoder | None = None

    def add(self, pts_ns: int, picture: NDArray[np.uint8]) -> bool:
        """Show a picture as often as its time asks; True when it was the last."""
        if self._encoder is None:
            self._encoder = ClipEncoder(self._bucket.width, self._bucket.height, exact_rate(self.task.clip["frame_rate"]), self._options)
        for _ in range(self.times[pts_ns]):
            self._encoder.add(picture)
        return self._encoder.frame_count == int(self.task.clip["frame_count"])

    def finish(self, audio: AudioReader | None, pictures: Mapping[int, bytes | InputError]) -> Sample | InputError:
        """The sample, when all its frames were added; or why its audio cannot be read."""
        assert self._encoder is not None
        clip = self.task.clip
        video = self._encoder.finish()
        self.close()
        try:
            samples = audio.read(clip["start_ns"], sample_count(clip["frame_count"], clip["frame_rate"], AUDIO_RATE)) if audio is not None else None
        except InputError as error:
            return error
        jpegs = tuple(picture for anchor in self.task.anchors if isinstance(picture := pictures[anchor["pts_ns"]], bytes))
        return Sample(self._metadata(samples is not None), video, None if samples is None else encode_flac(samples), jpegs)

    def close(self) -> None:
        """Give the encoder up; calling it twice is fine."""
        self.closed = True
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def _metadata(self, audio: bool) -> SampleMetadata:
        clip, bucket = self.task.clip, self._bucket
        return SampleMetadata(
            clip_id=clip["clip_id"],
            video_id=clip["video_id"],
            shot_id=clip["shot_id"],
            track_id=clip["track_id"],
            character_id=clip["character_id"],
            start_ns=clip["start_ns"],
            end_ns=clip["end_ns"],
            frame_count=clip["frame_count"],
            frame_rate=clip["frame_rate"],
            width=bucket.width,
            height=bucket.height,
            caption=clip["caption"],
            audio=audio,
            anchors=tuple(_anchor(number, anchor, clip, bucket) for number, anchor in enumerate(self.task.anchors)),
            seed=self._options.seed,
            sample_hash=self.task.sample_hash,
        )


def _positions(clip: Mapping[str, Any], index: VideoIndex) -> NDArray[np.int64]:
    """(frame_count,) positions in the index of the frames that a clip shows; see pack_clips."""
    first, end = np.searchsorted(index.pts_ns, (clip["start_ns"], clip["end_ns"]))
    if first == end:
        return np.full(clip["frame_count"], max(0, first - 1), np.int64)
    instants = frame_instants(clip["start_ns"], clip["frame_count"], clip["frame_rate"])
    return index.nearest(instants).clip(first, end - 1)


def _anchor(number: int, anchor: Mapping[str, Any], clip: Mapping[str, Any], bucket: Bucket) -> SampleAnchor:
    kind = AnchorKind.from_word(anchor["kind"])
    vocabulary = SUBCLASSES[kind]
    box = anchor["face_box"] or anchor["body_box"]
    return SampleAnchor(
        file=anchor_file(number),
        kind=kind,
        subclass=vocabulary.from_word(anchor["subclass"]) if vocabulary is not None else None,
        pts_ns=anchor["pts_ns"],
        inside_clip=is_inside(clip, anchor),
        box=bucket.box(tuple(box)) if box is not None else None,
        score=anchor["score"],
    )


def _picture(frame: Frame, bucket: Bucket) -> NDArray[np.uint8]:
    return bucket.crop(frame.rgb(bucket.scaled_width, bucket.scaled_height))
