"""The select stage for one video: tracks → characters → classes → anchors → clips."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.characters import CharacterOptions, Characters, assign_characters
from pipeline.observations import Observations
from pipeline.select.anchors import GlobalOptions, choose_anchors
from pipeline.select.classes import classify
from pipeline.select.clips import ClipOptions, Shot, choose_clips
from pipeline.select.counts import count_selection
from pipeline.select.expressions import ExpressionOptions
from pipeline.select.quality import QualityOptions
from pipeline.select.ranking import RankingOptions
from pipeline.select.reasons import Reasons
from pipeline.select.views import ViewOptions
from schemas.tables import CHARACTERS, TRACKS
from schemas.vocabulary import Status


@dataclass(frozen=True, slots=True)
class SelectOptions:
    """Everything that can be chosen about selecting; a run with other values needs no video.

    Attributes:
        characters: how tracks become characters.
        quality: what a picture must have to become an anchor.
        views: how angles become viewpoints.
        expressions: how probabilities become expressions.
        scene: what the global anchor must be.
        ranking: how many anchors of each bin, and how far apart.
        clips: what a training clip is.
    """

    characters: CharacterOptions = field(default_factory=CharacterOptions)
    quality: QualityOptions = field(default_factory=QualityOptions)
    views: ViewOptions = field(default_factory=ViewOptions)
    expressions: ExpressionOptions = field(default_factory=ExpressionOptions)
    scene: GlobalOptions = field(default_factory=GlobalOptions)
    ranking: RankingOptions = field(default_factory=RankingOptions)
    clips: ClipOptions = field(default_factory=ClipOptions)


@dataclass(frozen=True)
class Selection:
    """What was selected from one video.

    Attributes:
        tracks, characters, anchors, clips: rows of the tables of these names, sorted by their keys.
        counts: how many of what, see count_selection.
    """

    tracks: pa.Table
    characters: pa.Table
    anchors: pa.Table
    clips: pa.Table
    counts: dict[str, int]


def select_video(video_id: str, shots: pa.Table, observations: pa.Table, options: SelectOptions | None = None) -> Selection:
    """Select from one video.

    Args:
        video_id: of the video; its characters are called ``VIDEO_ID-c00``, … from the one seen most on.
        shots: rows of the shots table, all of this video, of all its segments.
        observations: rows of the observations table, likewise; in any order.
        options: the defaults when None.

    Raises:
        ValueError: the tables hold another video's rows, or observations of a shot that ``shots`` lacks.
    """
    options = options or SelectOptions()
    _check(video_id, shots, observations)
    seen = Observations.from_table(observations)
    spans = _shots(shots)
    characters = assign_characters(seen, options.characters)
    names = [f"{video_id}-c{number:02d}" for number in range(len(characters))]
    character = characters.of_track[seen.track] if len(seen) else np.zeros(0, np.int64)
    classes = classify(seen, character, options.views, options.expressions)
    anchors = choose_anchors(seen, character, names, classes, options.quality, options.scene, options.ranking)
    clips = choose_clips(seen, character, names, spans, _anchor_times(anchors, names), options.clips)
    tracks = _tracks(video_id, seen, characters, names)
    counts = count_selection(tracks, len(names), anchors, clips)
    return Selection(tracks, _characters(video_id, seen, character, characters, names, spans), anchors, clips, counts)


def _check(video_id: str, shots: pa.Table, observations: pa.Table) -> None:
    strangers = {value for table in (shots, observations) for value in pc.unique(table["video_id"]).to_pylist()} - {video_id}
    if strangers:
        raise ValueError(f"video {video_id}: the tables hold rows of {', '.join(sorted(strangers))}; select takes one video at a time")
    missing = set(pc.unique(observations["shot_id"]).to_pylist()) - set(shots["shot_id"].to_pylist())
    if missing:
        raise ValueError(f"video {video_id}: no row in shots for {', '.join(sorted(missing))}; give the shots of every segment")


def _shots(shots: pa.Table) -> dict[str, Shot]:
    columns = (shots[name].to_pylist() for name in ("shot_id", "start_ns", "end_ns", "sampled_count"))
    return {shot_id: Shot(shot_id, start, end, (end - start) / max(sampled, 1)) for shot_id, start, end, sampled in zip(*columns, strict=True)}


def _anchor_times(anchors: pa.Table, names: list[str]) -> list[NDArray[np.int64]]:
    """Of each character the times of its anchors, each frame once per kind."""
    chosen = anchors.filter(pc.equal(anchors["status"].cast(pa.string()), Status.ACCEPTED))
    owner = pc.index_in(chosen["character_id"], pa.array(names, pa.string())).to_numpy()
    times = chosen["pts_ns"].to_numpy()
    return [np.sort(times[owner == number]) for number in range(len(names))]


def _tracks(video_id: str, seen: Observations, characters: Characters, names: list[str]) -> pa.Table:
    reasons = Reasons(len(seen.track_ids))
    reasons.set_rows(slice(None), characters.reasons)
    first, last = seen.track_start[:-1], seen.track_start[1:] - 1
    columns = {
        "track_id": pa.array(seen.track_ids, pa.string()),
        "video_id": pa.array([video_id] * len(seen.track_ids), pa.string()),
        "shot_id": pa.array([seen.shot_ids[shot] for shot in seen.track_shot.tolist()], pa.string()),
        "character_id": pa.array([names[number] if number >= 0 else None for number in characters.of_track.tolist()], pa.string()),
        "reason": reasons.column(),
        "start_ns": pa.array(seen.pts_ns[first]),
        "end_ns": pa.array(seen.pts_ns[last]),
        "observations": pa.array(np.diff(seen.track_start).astype(np.int32)),
        "faces": pa.array(np.bincount(seen.track[seen.has_face], minlength=len(seen.track_ids)).astype(np.int32)),
        "similarity": pa.array(characters.similarity, mask=np.isnan(characters.similarity)),
    }
    return pa.table(columns, schema=TRACKS.schema)


def _characters(video_id: str, seen: Observations, character: NDArray[np.int64], characters: Characters, names: list[str], spans: dict[str, Shot]) -> pa.Table:
    period = np.array([spans[shot].period_ns * 1e-9 for shot in seen.shot_ids])
    rows = []
    for number, name in enumerate(names):
        own = np.flatnonzero(character == number)
        moments = np.unique(np.column_stack((seen.shot[own], seen.pts_ns[own])), axis=0)
        rows.append(
            {
                "character_id": name,
                "video_id": video_id,
                "tracks": int((characters.of_track == number).sum()),
                "shots": len(np.unique(seen.shot[own])),
                "observations": len(own),
                "faces": int(seen.has_face[own].sum()),
                "seconds_visible": float(period[moments[:, 0]].sum()),
                "start_ns": int(seen.pts_ns[own].min()),
                "end_ns": int(seen.pts_ns[own].max()),
                "purity": _known(characters.purity[number]),
                "cohesion": _known(characters.cohesion[number]),
                "nearest_other": _known(characters.nearest_other[number]),
                "embedding": None if np.isnan(characters.purity[number]) else characters.centroids[number].tolist(),
            }
        )
    return CHARACTERS.from_rows(rows)


def _known(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
