"""Clips: the spans in which a character is visible throughout, inside one shot, cut into tiles of exactly one training length.

Every stretch in which a character is seen is covered by rows: its tiles, and what is left over, with the reason why.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.observations import Observations
from schemas.tables import CLIPS
from schemas.vocabulary import RejectReason, Status

HEAD_OF_BODY = 0.2
"""Height of a head as a share of the height of the visible body: 1/7.5 of a standing person, 1/3 of a seated one behind a table."""


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """What a training clip is.

    Attributes:
        frame_count: frames of a clip; 4 k + 1, because the video VAE takes the first frame alone and then four at a time.
        frame_rate: frames per second of a clip.
        stride: seconds from the start of one clip to the next of a character in a shot, at least; None is the clip's length, so that they do not overlap.
        max_gap: seconds the character may be out of sight (from one sampled frame that shows it to the next).
        min_face_share: share of the sampled frames in it that must show the character's face; the others may show the body.
        largest_other: another person may be this large, as a share of the main character's size times time in the clip; 1 and more allows all.
        min_anchors: accepted anchors that the character must have, inside the clip or not.
    """

    frame_count: int = 81
    frame_rate: float = 16.0
    stride: float | None = None
    max_gap: float = 0.8
    min_face_share: float = 0.0
    largest_other: float = 0.75
    min_anchors: int = 1

    def __post_init__(self) -> None:
        if self.frame_count < 1 or self.frame_count % 4 != 1:
            raise ValueError(f"frame_count must be 4 k + 1 (the video VAE's stride in time), such as 81; not {self.frame_count}")
        if self.frame_rate <= 0 or self.max_gap <= 0 or (self.stride is not None and self.stride <= 0):
            raise ValueError(f"frame_rate, max_gap and stride must be more than 0: {self}")

    @property
    def length_ns(self) -> int:
        """A clip's length in nanoseconds."""
        return round(self.frame_count / self.frame_rate * 1e9)


@dataclass(frozen=True)
class Shot:
    """A shot's span and how often it was sampled.

    Attributes:
        shot_id: see the shots table.
        start_ns: first frame.
        end_ns: end of the last frame, exclusive.
        period_ns: mean time from one sampled frame to the next.
    """

    shot_id: str
    start_ns: int
    end_ns: int
    period_ns: float


@dataclass(frozen=True)
class _People:
    """Who is seen, and how large, in N observations.

    Attributes:
        identity: (N,) number of the character; tracks without one have a negative number each.
        size: (N,) height of the head as a share of the frame's; an estimate where the face is not seen.
    """

    identity: NDArray[np.int64]
    size: NDArray[np.float32]


@dataclass(frozen=True)
class _Appearance:
    """One character in one shot: rows of the observations, in order of time."""

    character: int
    shot: Shot
    rows: NDArray[np.int64]
    in_shot: NDArray[np.int64]


def choose_clips(
    observations: Observations,
    character: NDArray[np.int64],
    character_ids: list[str],
    shots: dict[str, Shot],
    anchor_times: list[NDArray[np.int64]],
    options: ClipOptions,
) -> pa.Table:
    """The clips table of one video.

    Args:
        observations: N of them.
        character: (N,) position in ``character_ids``, -1 where the track has none.
        character_ids: of the video.
        shots: by shot_id.
        anchor_times: of each character, the pts_ns of its accepted anchors.
        options: what a clip is.
    """
    face_height = observations.face_box[:, 3] - observations.face_box[:, 1]
    body_height = np.nan_to_num(observations.body_box[:, 3] - observations.body_box[:, 1])
    size = np.where(observations.has_face, face_height, body_height * HEAD_OF_BODY)
    people = _People(np.where(character >= 0, character, -1 - observations.track), size)
    rows = []
    for appearance in _appearances(observations, character, shots):
        for start_ns, end_ns, reason in _spans(observations.pts_ns[appearance.rows], appearance.shot, options):
            row = _describe(observations, people, appearance, start_ns, end_ns, anchor_times[appearance.character], options)
            others_size = row.pop("others_size")
            if reason is None and row["face_share"] < options.min_face_share:
                reason = RejectReason.NOT_VISIBLE_THROUGHOUT
            if reason is None and options.largest_other < 1 and others_size > options.largest_other:
                reason = RejectReason.ANOTHER_CHARACTER
            if reason is None and len(anchor_times[appearance.character]) < options.min_anchors:
                reason = RejectReason.TOO_FEW_ANCHORS
            name = character_ids[appearance.character]
            status = Status.ACCEPTED if reason is None else Status.REJECTED
            row |= {"clip_id": f"{name}-{start_ns}", "character_id": name, "status": status, "reason": reason}
            rows.append(row | {"selected_status": status, "selected_reason": reason})
    return CLIPS.from_rows(rows)


def _appearances(observations: Observations, character: NDArray[np.int64], shots: dict[str, Shot]) -> Iterator[_Appearance]:
    order = np.lexsort((observations.pts_ns, observations.shot))
    for in_shot in np.split(order, np.flatnonzero(np.diff(observations.shot[order])) + 1):
        for number in np.unique(character[in_shot]):
            if number >= 0:
                shot = shots[observations.shot_ids[observations.shot[in_shot[0]]]]
                yield _Appearance(int(number), shot, in_shot[character[in_shot] == number], in_shot)


def _spans(times: NDArray[np.int64], shot: Shot, options: ClipOptions) -> Iterator[tuple[int, int, RejectReason | None]]:
    """The tiles and the left-overs of one appearance: start_ns, end_ns and why it cannot be a clip, None when it can.

    A stretch reaches from its first observation to one sampling period after its last, and to the shot's edge when that is less than
    a period away: whoever is seen in the first sampled frame of a shot was there when it began. Tiles start at the stretch's start
    and then at observed frames.
    """
    gap = max(options.max_gap * 1e9, 1.5 * shot.period_ns)
    for stretch in np.split(times, np.flatnonzero(np.diff(times) > gap) + 1):
        start = shot.start_ns if stretch[0] - shot.start_ns <= shot.period_ns else int(stretch[0])
        end = int(min(shot.end_ns, stretch[-1] + round(shot.period_ns)))
        starts = np.concatenate(([start], stretch[stretch > start]))
        covered = start
        while len(later := starts[starts >= start]) and later[0] + options.length_ns <= end:
            start = int(later[0])
            yield start, start + options.length_ns, None
            covered = start + options.length_ns
            start += options.length_ns if options.stride is None else round(options.stride * 1e9)
        if end - covered > shot.period_ns:
            enough = shot.end_ns - shot.start_ns >= options.length_ns
            cut_short = covered == starts[0] and enough
            yield covered, end, RejectReason.NOT_VISIBLE_THROUGHOUT if cut_short else RejectReason.TOO_SHORT


def _describe(
    observations: Observations,
    people: _People,
    appearance: _Appearance,
    start_ns: int,
    end_ns: int,
    anchor_times: NDArray[np.int64],
    options: ClipOptions,
) -> dict[str, Any]:
    """A clip's row without its verdict, and ``others_size``: the largest other person's size times time over the main character's."""
    first, last = np.searchsorted(observations.pts_ns[appearance.in_shot], (start_ns, end_ns))
    within = appearance.in_shot[first:last]
    main = within[people.identity[within] == appearance.character]
    others = within[people.identity[within] != appearance.character]
    sampled = max(_sampled(observations.pts_ns[within], start_ns, end_ns, appearance.shot.period_ns), len(np.unique(observations.pts_ns[within])))
    tracks, frames = np.unique(observations.track[main], return_counts=True)
    names, position = np.unique(people.identity[others], return_inverse=True)
    largest = np.bincount(position, people.size[others], len(names)).max(initial=0.0)
    inside = int(((anchor_times >= start_ns) & (anchor_times < end_ns)).sum())
    return {
        "video_id": observations.table["video_id"][0].as_py(),
        "shot_id": appearance.shot.shot_id,
        "track_id": observations.track_ids[int(tracks[frames.argmax()])],
        "start_ns": start_ns,
        "end_ns": end_ns,
        "frame_count": max(1, round((end_ns - start_ns) * 1e-9 * options.frame_rate)),
        "frame_rate": options.frame_rate,
        "visible_share": min(1.0, len(np.unique(observations.pts_ns[main])) / sampled),
        "face_share": min(1.0, len(np.unique(observations.pts_ns[main[observations.has_face[main]]])) / sampled),
        "others": len(names),
        "anchors_inside": inside,
        "anchors_outside": len(anchor_times) - inside,
        "others_size": float(largest / max(people.size[main].sum(), 1e-9)),
    }


def _sampled(times: NDArray[np.int64], start_ns: int, end_ns: int, period_ns: float) -> int:
    """How many sampled frames a span holds, told from one of them: the tables know only those in which somebody was seen."""
    phase = (times.min(initial=end_ns) - start_ns) % period_ns
    return max(1, int((end_ns - start_ns - phase) / period_ns - 0.1) + 1)
