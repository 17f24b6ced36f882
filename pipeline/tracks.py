"""Joins what was seen of people in the sampled frames of one shot: each track is one person through the shot.

Frame by frame, the people are assigned to the tracks that are still open, one to one, by position (a head moves little in a quarter of a
second) and by identity (faces that differ are not joined, faces that agree are, also when the position says little). Whoever turns away
keeps the track through the body.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.people import Person
from pipeline.video.clock import SECOND
from schemas.vocabulary import AngleSource

IMPOSSIBLE = 1e6
UNKNOWN_UNLIKENESS = 0.6
"""What a person costs whose identity cannot be compared, because one of the two was seen without a face: between one person and two."""
GAP_COST = 0.2
"""What each second costs in which the track was not seen: of two tracks, the fresher one goes on."""
MAX_FACE_RATIO, MAX_HEAD_RATIO = 2.0, 3.0
"""Faces do not grow or shrink by more between two frames; the heads of bodies without a face are estimates."""


@dataclass(frozen=True, slots=True)
class TrackOptions:
    """How people are joined from frame to frame.

    Attributes:
        max_gap_seconds: a track ends when its person was not seen for longer.
        reach: how far a head may always move between two frames, in heights of the head.
        reach_per_second: how much farther for each second between them; somebody who walks moves by some 6 heads a second.
        max_reach: but never farther than this, in heights of the head.
        different_cosine: below this cosine two well seen faces are two people, wherever they are.
        same_cosine: from this cosine on two faces are one person, wherever they are.
        trusted_yaw: degrees of head yaw up to which a face is well seen.
    """

    max_gap_seconds: float = 2.0
    reach: float = 1.0
    reach_per_second: float = 6.0
    max_reach: float = 4.0
    different_cosine: float = 0.15
    same_cosine: float = 0.5
    trusted_yaw: float = 40.0


@dataclass
class _Track:
    number: int
    last: Person
    last_ns: int
    embedding: NDArray[np.float32] | None

    def add(self, person: Person, pts_ns: int, trusted: bool) -> None:
        """Continue with a person; the identity moves slowly, and only by faces that are well seen."""
        self.last, self.last_ns = person, pts_ns
        if person.embedding is not None and (trusted or self.embedding is None):
            self.embedding = person.embedding if self.embedding is None else _unit(0.8 * self.embedding + 0.2 * person.embedding)


def join_tracks(samples: Sequence[tuple[int, Sequence[Person]]], options: TrackOptions) -> list[list[int]]:
    """Number the tracks of one shot.

    Args:
        samples: the sampled frames in order of time: pts_ns and who was seen.
        options: see TrackOptions.

    Returns:
        For each sample the track number of each of its people. Numbers count up from 0 in the order of appearance.
    """
    tracks: list[_Track] = []
    numbers: list[list[int]] = []
    for pts_ns, people in samples:
        active = [track for track in tracks if pts_ns - track.last_ns <= options.max_gap_seconds * SECOND]
        assigned = _assign(active, people, pts_ns, options)
        numbers.append([])
        for position, person in enumerate(people):
            trusted = _trusted(person, options)
            if position in assigned:
                track = assigned[position]
                track.add(person, pts_ns, trusted)
            else:
                track = _Track(len(tracks), person, pts_ns, person.embedding)
                tracks.append(track)
            numbers[-1].append(track.number)
    return numbers


def _assign(tracks: Sequence[_Track], people: Sequence[Person], pts_ns: int, options: TrackOptions) -> dict[int, _Track]:
    """Position of a person in the frame to the track it continues."""
    if not tracks or not people:
        return {}
    cost = np.array([[_cost(track, person, pts_ns, options) for track in tracks] for person in people])
    rows, columns = linear_sum_assignment(cost)
    return {int(row): tracks[column] for row, column in zip(rows, columns, strict=True) if cost[row, column] < IMPOSSIBLE}


def _cost(track: _Track, person: Person, pts_ns: int, options: TrackOptions) -> float:
    """0 for the same face at the same place a moment ago; IMPOSSIBLE for two people."""
    seconds = (pts_ns - track.last_ns) / SECOND
    sizes = sorted((max(track.last.head_size, 1.0), max(person.head_size, 1.0)))
    heads = float(np.linalg.norm(track.last.head - person.head)) / sizes[1]
    cosine = float(track.embedding @ person.embedding) if track.embedding is not None and person.embedding is not None else None
    if cosine is not None and cosine < options.different_cosine and _trusted(person, options):
        return IMPOSSIBLE
    same = cosine is not None and cosine >= options.same_cosine
    reach = min(options.reach + options.reach_per_second * seconds, options.max_reach)
    ratio = MAX_FACE_RATIO if track.last.face and person.face else MAX_HEAD_RATIO
    if not same and (heads > reach or sizes[1] > ratio * sizes[0]):
        return IMPOSSIBLE
    unlike = UNKNOWN_UNLIKENESS if cosine is None else 1.0 - max(cosine, 0.0)
    return min(heads / options.max_reach, 1.0) + unlike + GAP_COST * seconds


def _trusted(person: Person, options: TrackOptions) -> bool:
    return person.pose is not None and person.pose.source is not AngleSource.POINTS and abs(person.pose.yaw) <= options.trusted_yaw


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)
