"""Who is who in one video: the tracks of all its shots and segments become characters, by face embedding alone.

Three steps, each of which would rather leave a track without a character than guess:

1. Tracks that show the face well and often enough are clustered (average linkage). Two tracks that are in one frame
   together are different people and never joined.
2. What is left (a track that shows only profiles, a few frames at a cut) is attached to the character it clearly resembles.
3. What resembles nobody but is plentiful and agrees with itself becomes a character of its own, if it was seen from the front (a
   profile often does not even resemble the same person's face) or in one frame with everybody else.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.clustering import cluster_embeddings
from pipeline.observations import Observations
from schemas.vocabulary import RejectReason

__all__ = ["CharacterOptions", "Characters", "assign_characters", "cluster_embeddings"]

LEGIBLE, WELL_SEEN = 1 / 3, 0.5
"""Weight from which a face counts as legible (by size and light: 32 pixels in good light), and as well seen (by size, light and how frontal it is)."""


@dataclass(frozen=True, slots=True)
class CharacterOptions:
    """How tracks become characters. Cosines are those of the identity embedder; the defaults are SFace's.

    Attributes:
        same_person_cosine: mean cosine between faces from which two tracks are one person.
        stranger_cosine: cosine below which a poorly seen track is somebody new; between the two it abstains.
        margin: by how much the best character must beat the runner-up for a poorly seen track to be attached to it.
        min_coherence: mean cosine of a track's faces to their mean, below which the track has mixed up people.
        min_faces: sampled frames with a legible face that a track needs to be judged by itself.
        character_faces: sampled frames with a legible face that a character needs, over all its tracks; passers-by have fewer.
        faceless_bodies: sampled frames that must show the body of a track without legible faces to make it a character of its own, known
            by nothing but the track; 0: such tracks abstain. Worth it where people are filmed from behind throughout.
        core_faces: sampled frames with a well seen face (weight of .5 and more) from which a track takes part in the first clustering.
        face_pixels: height at which a face is large enough to be fully trusted, in pixels; a quarter of it counts nothing.
        brightness: mean luma from which a face is bright enough to be fully trusted, 0..1.
        frontal_degrees: head yaw up to which an embedding is fully trusted (weight 1).
        side_degrees: head yaw from which an embedding says next to nothing (weight .05).
    """

    same_person_cosine: float = 0.36
    stranger_cosine: float = 0.3
    margin: float = 0.15
    min_coherence: float = 0.55
    min_faces: int = 3
    character_faces: int = 5
    faceless_bodies: int = 0
    core_faces: int = 8
    face_pixels: float = 64.0
    brightness: float = 0.15
    frontal_degrees: float = 25.0
    side_degrees: float = 60.0


@dataclass(frozen=True)
class Characters:
    """The characters of a video of T tracks, the one seen most first.

    Attributes:
        of_track: (T,) number of the track's character, or -1.
        reasons: T reasons of the tracks without a character, None for the others.
        similarity: (T,) cosine of the track's mean embedding to its character's centroid, NaN without one.
        centroids: (C, D) unit length; NaN, like what follows, of a character without legible faces.
        purity: (C,) share of its face embeddings that reach same_person_cosine with its centroid, and are nearer to it than to any other's.
        cohesion: (C,) mean cosine of its face embeddings to its centroid.
        nearest_other: (C,) highest cosine to another centroid; NaN when there is none.
    """

    of_track: NDArray[np.int64]
    reasons: list[RejectReason | None]
    similarity: NDArray[np.float32]
    centroids: NDArray[np.float32]
    purity: NDArray[np.float32]
    cohesion: NDArray[np.float32]
    nearest_other: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.centroids)


@dataclass(frozen=True)
class _TrackEvidence:
    """What the faces of each of T tracks say together.

    Attributes:
        mean: (T, D) weighted mean of the unit embeddings, so that the product of two means is the mean cosine between their faces.
        weight: (T,) sum of the weights.
        legible: (T,) faces that are large and bright enough.
        well_seen: (T,) faces that are also frontal enough.
        coherence: (T,) length of the mean.
    """

    mean: NDArray[np.float64]
    weight: NDArray[np.float64]
    legible: NDArray[np.int64]
    well_seen: NDArray[np.int64]
    coherence: NDArray[np.float64]


def assign_characters(observations: Observations, options: CharacterOptions | None = None) -> Characters:
    """Group the tracks of one video by person.

    Args:
        observations: all of them, of every shot and segment.
        options: thresholds; the defaults fit SFace's embeddings.

    Returns:
        Characters ordered by how many observations they have; equal ones by their first track's name.
    """
    options = options or CharacterOptions()
    evidence = _weigh(observations, options)
    apart = simultaneous_tracks(observations)
    enough = (evidence.legible >= options.min_faces) & (evidence.coherence >= options.min_coherence)
    well_seen = enough & (evidence.well_seen >= options.core_faces)
    labels = _disown(_cluster(well_seen, evidence, apart, options), evidence)
    labels, alike = _attach(labels, evidence, apart, options)
    unknown = (labels < 0) & enough & (alike < options.stranger_cosine)
    labels = _admit(_cluster(unknown, evidence, apart, options), labels, evidence, apart, options)
    passing = np.bincount(labels[labels >= 0], evidence.legible[labels >= 0]) < options.character_faces
    rare = (labels >= 0) & passing[labels] if len(passing) else np.zeros(len(labels), bool)
    labels = np.where(rare, -1, labels)
    few = rare | (evidence.legible < options.min_faces)
    labels = _with_faceless(labels, observations, evidence, options)
    reasons = [
        None if label >= 0 else (RejectReason.TOO_FEW_FACES if scarce else RejectReason.UNCERTAIN_IDENTITY) for label, scarce in zip(labels, few, strict=True)
    ]
    return _describe(_most_visible_first(labels, observations), reasons, evidence, observations, options)


def _with_faceless(labels: NDArray[np.int64], observations: Observations, evidence: _TrackEvidence, options: CharacterOptions) -> NDArray[np.int64]:
    """Labels with a character of its own for each track that shows a body for long and hardly a face."""
    if not options.faceless_bodies:
        return labels
    bodies = np.bincount(observations.track[observations.has_body], minlength=len(labels))
    faceless = np.flatnonzero((labels < 0) & (evidence.legible < options.min_faces) & (bodies >= options.faceless_bodies))
    with_them = labels.copy()
    with_them[faceless] = labels.max(initial=-1) + 1 + np.arange(len(faceless))
    return with_them


def simultaneous_tracks(observations: Observations) -> NDArray[np.int64]:
    """(P, 2) pairs of tracks whose faces were seen in the same frame: two different people."""
    rows = np.flatnonzero(observations.has_face)
    rows = rows[np.argsort(observations.pts_ns[rows], kind="stable")]
    times, tracks = observations.pts_ns[rows], observations.track[rows]
    pairs = []
    for distance in range(1, len(rows)):
        together = times[distance:] == times[:-distance]
        if not together.any():
            break
        pairs.append(np.column_stack((tracks[:-distance][together], tracks[distance:][together])))
    return np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0) if pairs else np.zeros((0, 2), np.int64)


def _weigh(observations: Observations, options: CharacterOptions) -> _TrackEvidence:
    faint = options.face_pixels / 4
    size = np.clip((observations.face_pixels - faint) / (options.face_pixels - faint), 0, 1)
    legibility = np.where(observations.has_embedding, size * np.clip(observations.brightness / options.brightness, 0, 1), 0)
    turned = np.abs(np.nan_to_num(observations.yaw, nan=(options.frontal_degrees + options.side_degrees) / 2))
    frontality = np.clip((options.side_degrees - turned) / (options.side_degrees - options.frontal_degrees), 0.05, 1)
    weights = (legibility * frontality).astype(np.float64)
    count, rows = len(observations.track_ids), np.flatnonzero(observations.has_embedding)
    sums = np.zeros((count, observations.embedding.shape[1]))
    np.add.at(sums, observations.track[rows], observations.embedding[rows] * weights[rows, None])
    weight = np.bincount(observations.track, weights, count).astype(np.float64)
    mean = sums / np.maximum(weight, 1e-9)[:, None]
    legible = np.bincount(observations.track[legibility >= LEGIBLE], minlength=count).astype(np.int64)
    well_seen = np.bincount(observations.track[weights >= WELL_SEEN], minlength=count).astype(np.int64)
    return _TrackEvidence(mean, weight, legible, well_seen, np.linalg.norm(mean, axis=1))


def _cluster(chosen: NDArray[np.bool_], evidence: _TrackEvidence, apart: NDArray[np.int64], options: CharacterOptions) -> NDArray[np.int64]:
    """(T,) cluster of each chosen track, -1 for the others."""
    labels = np.full(len(chosen), -1, np.int64)
    position = np.cumsum(chosen) - 1
    pairs = position[apart[chosen[apart].all(axis=1)]]
    labels[chosen] = cluster_embeddings(evidence.mean[chosen].astype(np.float32), options.same_person_cosine, evidence.weight[chosen], pairs.tolist())
    return labels


def _disown(labels: NDArray[np.int64], evidence: _TrackEvidence) -> NDArray[np.int64]:
    """Labels without the tracks that are no more like the rest of their own cluster than like another: average linkage never takes a step back."""
    known = np.flatnonzero(labels >= 0)
    count, owner, weight = int(labels.max(initial=-1)) + 1, labels[known], evidence.weight[known, None]
    if count < 2:
        return labels
    sums, totals = np.zeros((count, evidence.mean.shape[1])), np.bincount(owner, weight[:, 0], count)
    np.add.at(sums, owner, evidence.mean[known] * weight)
    others = evidence.mean[known] @ (sums / totals[:, None]).T
    others[np.arange(len(known)), owner] = -1
    rest = totals[owner] - weight[:, 0]
    own = np.einsum("td,td->t", evidence.mean[known], (sums[owner] - evidence.mean[known] * weight) / np.maximum(rest, 1e-9)[:, None])
    alone = np.bincount(owner, minlength=count)[owner] == 1
    kept = labels.copy()
    kept[known[~alone & (own <= others.max(axis=1))]] = -1
    return kept


def _attach(
    labels: NDArray[np.int64], evidence: _TrackEvidence, apart: NDArray[np.int64], options: CharacterOptions
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels with the poorly seen tracks added to the character they clearly resemble, and (T,) their cosine to the most alike character (-1 without any).

    A track that is in one frame with a character's track is not of that character. The tracks do not change the centroids, so their order does not matter,
    except that of two which exclude each other the more alike one is attached.
    """
    alike = np.full(len(labels), -1.0)
    candidates = np.flatnonzero((labels < 0) & (evidence.weight > 0) & (evidence.coherence >= options.min_coherence))
    if not len(candidates) or labels.max() < 0:
        return labels, alike
    cosines = _unit(evidence.mean[candidates]) @ _centroids(labels, evidence).T
    alike[candidates] = cosines.max(axis=1)
    attached = labels.copy()
    rivals = [[] for _ in labels]  # type: list[list[int]]
    for first, second in apart.tolist():
        rivals[first].append(second)
        rivals[second].append(first)
    for row in np.argsort(-cosines.max(axis=1), kind="stable"):
        track, likeness = int(candidates[row]), cosines[row].copy()
        likeness[[int(attached[rival]) for rival in rivals[track] if attached[rival] >= 0]] = -1
        best = int(likeness.argmax())
        runner_up = np.delete(cosines[row], best).max(initial=-1)
        if likeness[best] >= options.same_person_cosine and likeness[best] - runner_up >= options.margin:
            attached[track] = best
    return attached, alike


def _admit(
    newcomers: NDArray[np.int64], labels: NDArray[np.int64], evidence: _TrackEvidence, apart: NDArray[np.int64], options: CharacterOptions
) -> NDArray[np.int64]:
    """Labels with those clusters of newcomers added, from the one with most faces on, that cannot be anybody who is there already."""
    faces = np.bincount(newcomers[newcomers >= 0], evidence.legible[newcomers >= 0])
    admitted = labels.copy()
    for newcomer in np.argsort(-faces, kind="stable"):
        tracks = newcomers == newcomer
        partners = np.concatenate((apart[tracks[apart[:, 0]], 1], apart[tracks[apart[:, 1]], 0]))
        present = np.unique(admitted[admitted >= 0])
        if evidence.well_seen[tracks].sum() >= options.min_faces or np.isin(present, admitted[partners]).all():
            admitted[tracks] = admitted.max(initial=-1) + 1
    return admitted


def _most_visible_first(labels: NDArray[np.int64], observations: Observations) -> NDArray[np.int64]:
    """Labels 0, 1, … without holes; equally visible characters in the order of their first tracks."""
    names, first, compact = np.unique(labels, return_index=True, return_inverse=True)
    seen = np.bincount(compact, np.diff(observations.track_start))
    seen[names < 0] = -1
    order = np.lexsort((first, -seen))
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return np.where(labels >= 0, rank[compact], -1)


def _describe(
    labels: NDArray[np.int64], reasons: list[RejectReason | None], evidence: _TrackEvidence, observations: Observations, options: CharacterOptions
) -> Characters:
    centroids = _centroids(labels, evidence)
    count = len(centroids)
    rows = np.flatnonzero(observations.has_embedding & (labels[observations.track] >= 0))
    owner = labels[observations.track[rows]]
    cosines = observations.embedding[rows] @ centroids.T.astype(np.float32)
    own = cosines[np.arange(len(rows)), owner]
    pure = (own >= options.same_person_cosine) & (own >= cosines.max(axis=1, initial=-1))
    faces = np.maximum(np.bincount(owner, minlength=count), 1)
    between = centroids @ centroids.T - 4 * np.eye(count)
    similarity = np.full(len(labels), np.nan)
    has_face = np.bincount(labels[labels >= 0], evidence.legible[labels >= 0], count) >= options.min_faces
    between[:, ~has_face] = -2
    between[~has_face] = np.nan
    known = (labels >= 0) & np.append(has_face, False)[labels]
    similarity[known] = np.einsum("td,td->t", _unit(evidence.mean[known]), centroids[labels[known]])
    return Characters(
        of_track=labels,
        reasons=reasons,
        similarity=similarity.astype(np.float32),
        centroids=np.where(has_face[:, None], centroids, np.nan).astype(np.float32),
        purity=np.where(has_face, np.bincount(owner, pure, count) / faces, np.nan).astype(np.float32),
        cohesion=np.where(has_face, np.bincount(owner, own, count) / faces, np.nan).astype(np.float32),
        nearest_other=(np.where(between.max(axis=1) < -1, np.nan, between.max(axis=1)) if count > 1 else np.full(count, np.nan)).astype(np.float32),
    )


def _centroids(labels: NDArray[np.int64], evidence: _TrackEvidence) -> NDArray[np.float64]:
    """(C, D) weighted mean of each character's tracks, unit length."""
    known = labels >= 0
    sums = np.zeros((int(labels.max(initial=-1)) + 1, evidence.mean.shape[1]))
    np.add.at(sums, labels[known], evidence.mean[known] * evidence.weight[known, None])
    return _unit(sums)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))
