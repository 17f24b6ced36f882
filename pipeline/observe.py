"""Observe one segment of a video: one decode pass tells its shots and, in the sampled frames, its people.

Every frame is looked at in small for cuts; every sampled frame in full for people. What is kept of a frame are a few numbers per person,
never pixels, so memory does not grow with the size of the pictures. A cut is known only some frames later: people are given to shots, and
joined to tracks, when the segment has been read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.people import PeopleFinder, PeopleOptions, Person
from pipeline.perception.protocols import Perception
from pipeline.shots import Shot, ShotDetector, ShotOptions, small_size
from pipeline.stopwatch import Stopwatch
from pipeline.tracks import TrackOptions, join_tracks
from pipeline.video.clock import SECOND
from pipeline.video.decoders import Backend, open_decoder
from pipeline.video.index import VideoIndex
from pipeline.video.protocols import Decoder
from pipeline.video.segments import Segment
from schemas.tables import OBSERVATIONS, SHOTS
from schemas.vocabulary import ShotEdge


@dataclass(frozen=True, slots=True)
class ObserveOptions:
    """How a video is observed.

    Attributes:
        samples_per_second: how often people are looked for; frames are chosen on a grid of the whole video, so segments make no difference.
        search_seconds: seconds between looks for bodies in the whole frame, of people whose faces are not seen.
        memory_seconds: seconds for which the body of somebody whose face was lost is looked for.
        decoder: what decodes the video.
        decoder_threads: threads of the decoder; the jobs run several workers instead.
        shots: how cuts are found.
        people: what is measured of whom.
        tracks: how people are joined from frame to frame.
    """

    samples_per_second: float = 4.0
    search_seconds: float = 1.0
    memory_seconds: float = 2.0
    decoder: Backend = "pyav"
    decoder_threads: int = 1
    shots: ShotOptions = field(default_factory=ShotOptions)
    people: PeopleOptions = field(default_factory=PeopleOptions)
    tracks: TrackOptions = field(default_factory=TrackOptions)

    def __post_init__(self) -> None:
        if self.samples_per_second <= 0:
            raise ValueError(f"samples_per_second must be more than 0, not {self.samples_per_second}")


@dataclass(frozen=True)
class SegmentObservations:
    """What was observed in a segment.

    Attributes:
        shots, observations: rows of the tables of these names, sorted by their keys.
        counts: ``frames`` decoded, ``sampled`` of them, ``shots``, ``tracks``, ``observations``, ``faces``, ``bodies``.
        seconds: wall-clock time by step; ``total`` is all of it.
    """

    shots: pa.Table
    observations: pa.Table
    counts: dict[str, int]
    seconds: dict[str, float]


def observe_segment(uri: str, index: VideoIndex, segment: Segment, perception: Perception, options: ObserveOptions | None = None) -> SegmentObservations:
    """Observe one segment.

    Args:
        uri: the video.
        index: its index.
        segment: which part of it.
        perception: the models.
        options: the defaults when None.

    Raises:
        VideoError: the video cannot be decoded to the end of the segment.
    """
    options, watch = options or ObserveOptions(), Stopwatch()
    with watch.step("total"):
        with open_decoder(uri, options.decoder, options.decoder_threads, index) as decoder:
            shots, samples = _watch(decoder, segment, perception, options, watch)
        with watch.step("tracks"):
            tables = _rows(index, segment, shots, samples, options)
    return SegmentObservations(*tables, watch.seconds)


def sampled_times(index: VideoIndex, samples_per_second: float) -> NDArray[np.int64]:
    """Times of the frames that people are looked for in: the first frame at or after each point of a grid that starts with the video."""
    step = SECOND / samples_per_second
    grid = index.start_ns + np.round(np.arange(int((index.end_ns - index.start_ns) // step) + 1) * step).astype(np.int64)
    positions = np.unique(np.searchsorted(index.pts_ns, grid))
    return index.pts_ns[positions[positions < index.frame_count]]


def _watch(
    decoder: Decoder, segment: Segment, perception: Perception, options: ObserveOptions, watch: Stopwatch
) -> tuple[list[Shot], list[tuple[int, list[Person]]]]:
    """The one pass: shots, and the people of the sampled frames."""
    index = decoder.index
    detector, finder = ShotDetector(options.shots), PeopleFinder(perception, options.people, watch)
    wanted = set(sampled_times(index, options.samples_per_second).tolist())
    samples: list[tuple[int, list[Person]]] = []
    recent = _Recent(options)
    small = small_size(index.width, index.height)
    for pts_ns, small_rgb, image in _pictures(decoder, segment, wanted, small, watch):
        with watch.step("shots"):
            detector.add(pts_ns, small_rgb)
        if image is not None:
            people = finder.find(image, recent.people(pts_ns), recent.should_search(pts_ns))
            recent.remember(pts_ns, people)
            samples.append((pts_ns, people))
    with watch.step("shots"):
        shots = detector.finish(segment.end_ns)
    return shots, samples


def _pictures(
    decoder: Decoder, segment: Segment, wanted: set[int], small: tuple[int, int], watch: Stopwatch
) -> Iterator[tuple[int, NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Every frame's time and small picture, and the whole picture of the wanted ones."""
    frames = decoder.frames(segment.start_ns, segment.end_ns)
    while True:
        with watch.step("decode"):
            frame = next(frames, None)
            if frame is None:
                return
            small_rgb = frame.rgb(*small)
            image = frame.rgb() if frame.pts_ns in wanted else None
        yield frame.pts_ns, small_rgb, image


class _Recent:
    """Who was seen a moment ago, and when the whole frame was last searched for somebody."""

    def __init__(self, options: ObserveOptions) -> None:
        self._memory_ns, self._search_ns = options.memory_seconds * SECOND, options.search_seconds * SECOND
        self._people: list[tuple[int, Person]] = []
        self._searched_ns: int | None = None

    def people(self, pts_ns: int) -> list[Person]:
        """Those seen within memory, the latest sight of each."""
        self._people = [(seen, person) for seen, person in self._people if pts_ns - seen <= self._memory_ns]
        return [person for _, person in self._people]

    def should_search(self, pts_ns: int) -> bool:
        """Whether it is time to search the whole frame."""
        return self._searched_ns is None or pts_ns - self._searched_ns >= self._search_ns

    def remember(self, pts_ns: int, people: list[Person]) -> None:
        """Note who was seen; the sights they replace are forgotten."""
        if self.should_search(pts_ns):
            self._searched_ns = pts_ns
        lost = [(seen, old) for seen, old in self._people if not any(old.is_near(person) for person in people)]
        self._people = lost + [(pts_ns, person) for person in people]


def _rows(
    index: VideoIndex, segment: Segment, shots: list[Shot], samples: list[tuple[int, list[Person]]], options: ObserveOptions
) -> tuple[pa.Table, pa.Table, dict[str, int]]:
    """The shots and observations tables, and the counts."""
    times = np.array([pts_ns for pts_ns, _ in samples], np.int64)
    shot_rows: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    tracks = 0
    for number, shot in enumerate(shots):
        shot_id = f"{index.video_id}-s{segment.number:04d}-{number:04d}"
        first, last = np.searchsorted(times, (shot.start_ns, shot.end_ns))
        within = samples[first:last]
        numbers = join_tracks(within, options.tracks)
        shot_rows.append(
            {
                "shot_id": shot_id,
                "video_id": index.video_id,
                "segment": segment.number,
                "start_ns": shot.start_ns,
                "end_ns": shot.end_ns,
                "frame_count": shot.frame_count,
                "sampled_count": len(within),
                "starts_at": _edge(number == 0, shot.start_ns == index.start_ns),
                "ends_at": _edge(number == len(shots) - 1, shot.end_ns == index.end_ns),
            }
        )
        for (pts_ns, people), of_sample in zip(within, numbers, strict=True):
            for person, track in zip(people, of_sample, strict=True):
                lineage = {"video_id": index.video_id, "shot_id": shot_id, "track_id": f"{shot_id}-t{track:03d}", "pts_ns": pts_ns}
                rows.append(lineage | _observation(person, index))
        tracks += len({track for of_sample in numbers for track in of_sample})
    counts = {
        "frames": sum(shot.frame_count for shot in shots),
        "sampled": len(samples),
        "shots": len(shots),
        "tracks": tracks,
        "observations": len(rows),
        "faces": sum(row["face_box"] is not None for row in rows),
        "bodies": sum(row["body_box"] is not None for row in rows),
    }
    return SHOTS.from_rows(shot_rows), OBSERVATIONS.from_rows(rows), counts


def _edge(at_segment_edge: bool, at_video_edge: bool) -> ShotEdge:
    return ShotEdge.VIDEO if at_video_edge else ShotEdge.SEAM if at_segment_edge else ShotEdge.CUT


def _observation(person: Person, index: VideoIndex) -> dict[str, Any]:
    """The columns of one person; boxes and points as fractions of the displayed frame."""
    face, pose, body, expression = person.face, person.pose, person.body, person.expression
    size = np.array([index.width, index.height], np.float32)
    return {
        "face_box": (face.box / np.tile(size, 2)).tolist() if face else None,
        "face_points": (face.points / size).ravel().tolist() if face else None,
        "face_score": face.score if face else None,
        "body_box": (body.box / np.tile(size, 2)).tolist() if body else None,
        "yaw": pose.yaw if pose else None,
        "pitch": pose.pitch if pose else None,
        "roll": pose.roll if pose else None,
        "angle_source": pose.source if pose else None,
        "body_yaw": body.yaw if body else None,
        "body_confidence": body.confidence if body else None,
        "expression_probabilities": expression.probabilities.tolist() if expression else None,
        "expression_features": expression.features.tolist() if expression else None,
        "embedding": person.embedding.tolist() if person.embedding is not None else None,
        "sharpness": person.quality.sharpness,
        "face_pixels": person.head_size if face else 0.0,
        "brightness": person.quality.brightness,
        "clipped": person.quality.clipped,
        "cut_off": person.quality.cut_off,
    }
