"""Observations of people who do not exist: what select and report are tested on, with the truth known."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.tables import OBSERVATIONS, SHOTS
from schemas.vocabulary import Expression, ShotEdge

VIDEO = "0123456789abcdef"
PERIOD = 0.25
DIMENSIONS = 128


def face_vector(person: int) -> NDArray[np.float32]:
    """The direction of a person's embeddings: those of different people are all but orthogonal."""
    vector = np.random.default_rng(1000 + person).normal(size=DIMENSIONS)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def noisy(vector: NDArray[np.floating], cosine: float, generator: np.random.Generator) -> NDArray[np.float32]:
    """A unit vector at this cosine from another, in a random direction."""
    noise = generator.normal(size=len(vector))
    noise -= noise @ vector * vector
    return np.asarray(cosine * vector + np.sqrt(1 - cosine**2) * noise / np.linalg.norm(noise), np.float32)


def expressing(expression: Expression, probability: float = 0.9) -> list[float]:
    """Probabilities with this much for one class, the rest shared."""
    rest = (1 - probability) / (len(Expression) - 1)
    return [probability if code == expression else rest for code in range(len(Expression))]


@dataclass
class DrawnVideo:
    """A video of shots that people walk through; sampled every PERIOD seconds.

    ``appear`` adds one track. Times are seconds.
    """

    shots: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    seed: int = 0

    def __post_init__(self) -> None:
        self.generator = np.random.default_rng(self.seed)
        self.tracks = 0

    def shot(self, start: float, end: float, segment: int = 0) -> str:
        shot_id = f"{VIDEO}-s{segment:04d}-{len(self.shots):04d}"
        self.shots.append(
            {
                "shot_id": shot_id,
                "video_id": VIDEO,
                "segment": segment,
                "start_ns": round(start * 1e9),
                "end_ns": round(end * 1e9),
                "frame_count": round((end - start) * 24),
                "sampled_count": int(np.ceil((end - start) / PERIOD)),
                "starts_at": ShotEdge.CUT,
                "ends_at": ShotEdge.CUT,
            }
        )
        return shot_id

    def appear(
        self,
        shot_id: str,
        person: int,
        start: float | None = None,
        end: float | None = None,
        cosine: float = 0.85,
        embedding: NDArray[np.floating] | None = None,
        yaw: Callable[[float], float] = lambda _: 0.0,
        expression: Callable[[float], Expression] = lambda _: Expression.NEUTRAL,
        height: float = 0.25,
        face: Callable[[float], bool] = lambda _: True,
        **columns: Any,
    ) -> str:
        """A person from start to end (the shot's edges when None); ``columns`` override what is observed, also as functions of the time."""
        shot = next(shot for shot in self.shots if shot["shot_id"] == shot_id)
        track_id = f"{shot_id}-t{self.tracks:04d}"
        self.tracks += 1
        centre = 0.2 + 0.2 * (person % 4)
        for pts_ns in range(shot["start_ns"], shot["end_ns"], round(PERIOD * 1e9)):
            time = pts_ns / 1e9
            if (start is not None and time < start) or (end is not None and time >= end):
                continue
            row: dict[str, Any] = {
                "video_id": VIDEO,
                "shot_id": shot_id,
                "track_id": track_id,
                "pts_ns": pts_ns,
                "body_box": [centre - 0.15, 0.2, centre + 0.15, 1.0],
                "sharpness": 100.0,
                "face_pixels": 0.0,
                "brightness": 0.5,
                "clipped": 0.0,
                "cut_off": 0.0,
                "body_yaw": yaw(time),
                "body_confidence": 0.95,
            }
            if face(time):
                row |= {
                    "face_box": [centre - height / 2.5, 0.3, centre + height / 2.5, 0.3 + height],
                    "face_score": 0.95,
                    "yaw": yaw(time),
                    "pitch": 0.0,
                    "roll": 0.0,
                    "angle_source": "landmarks",
                    "expression_probabilities": expressing(expression(time)),
                    "expression_features": expressing(expression(time)),
                    "embedding": noisy(face_vector(person) if embedding is None else embedding, cosine, self.generator).tolist(),
                    "face_pixels": height * 720,
                }
            self.rows.append(row | {name: value(time) if callable(value) else value for name, value in columns.items()})
        return track_id

    @property
    def shots_table(self) -> pa.Table:
        return SHOTS.from_rows(self.shots)

    @property
    def observations_table(self) -> pa.Table:
        return OBSERVATIONS.from_rows(self.rows)
