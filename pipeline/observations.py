"""The observations of one video as numpy columns: what characters, anchors and clips are computed from."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Observations:
    """N observations of one video, sorted by track and then by time. Whatever was not measured is NaN.

    Attributes:
        table: the rows, in this order.
        track_ids, shot_ids: the video's tracks and shots; ``track`` and ``shot`` are positions in them.
        track, shot: (N,) int64.
        track_start: (T + 1,) row at which each track starts, and N.
        pts_ns: (N,) int64.
        face_box, body_box: (N, 4), fractions of the frame.
        face_score, yaw, pitch, roll, body_yaw, body_confidence, sharpness, face_pixels, brightness, clipped, cut_off: (N,), as in the table.
        angle_source: N words of AngleSource, or None.
        probabilities: (N, 8) of the expressions.
        features: (N, F) the expression features, F is 0 when there are none.
        embedding: (N, D) unit length, D is 0 when there are none.
    """

    table: pa.Table
    track_ids: list[str]
    shot_ids: list[str]
    track: NDArray[np.int64]
    shot: NDArray[np.int64]
    track_start: NDArray[np.int64]
    pts_ns: NDArray[np.int64]
    face_box: Floats
    body_box: Floats
    face_score: Floats
    yaw: Floats
    pitch: Floats
    roll: Floats
    body_yaw: Floats
    body_confidence: Floats
    sharpness: Floats
    face_pixels: Floats
    brightness: Floats
    clipped: Floats
    cut_off: Floats
    angle_source: list[str | None]
    probabilities: Floats
    features: Floats
    embedding: Floats

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """Rows of schemas.tables.OBSERVATIONS, all of one video, in any order.

        Raises:
            ValueError: two observations of one track have the same time, or embeddings (or features) differ in length.
        """
        table = table.sort_by([("track_id", "ascending"), ("pts_ns", "ascending")]).combine_chunks()
        track_ids, track = _codes(table["track_id"])
        shot_ids, shot = _codes(table["shot_id"])
        pts_ns = table["pts_ns"].to_numpy().astype(np.int64)
        if np.any((np.diff(track) == 0) & (np.diff(pts_ns) == 0)):
            raise ValueError(f"video {table['video_id'][0]}: a track has two observations at one time; observe the video again")
        scalars = ("face_score", "yaw", "pitch", "roll", "body_yaw", "body_confidence", "sharpness", "face_pixels", "brightness", "clipped", "cut_off")
        return cls(
            table=table,
            track_ids=track_ids,
            shot_ids=shot_ids,
            track=track,
            shot=shot,
            track_start=np.searchsorted(track, np.arange(len(track_ids) + 1)).astype(np.int64),
            pts_ns=pts_ns,
            face_box=_vectors(table, "face_box", 4),
            body_box=_vectors(table, "body_box", 4),
            angle_source=table["angle_source"].to_pylist(),
            probabilities=_vectors(table, "expression_probabilities", 8),
            features=_vectors(table, "expression_features"),
            embedding=_vectors(table, "embedding"),
            **{name: table[name].to_numpy().astype(np.float32) for name in scalars},
        )

    def __len__(self) -> int:
        return len(self.pts_ns)

    @property
    def has_face(self) -> NDArray[np.bool_]:
        """(N,) the face was seen."""
        return ~np.isnan(self.face_box[:, 0])

    @property
    def has_body(self) -> NDArray[np.bool_]:
        """(N,) the body was found."""
        return ~np.isnan(self.body_box[:, 0])

    @property
    def has_embedding(self) -> NDArray[np.bool_]:
        """(N,) there is an identity embedding."""
        return np.asarray(~np.isnan(self.embedding).any(axis=1)) if self.embedding.shape[1] else np.zeros(len(self), bool)

    @property
    def track_shot(self) -> NDArray[np.int64]:
        """(T,) the shot of each track."""
        return self.shot[self.track_start[:-1]]

    def rows_of(self, track: int) -> slice:
        """The rows of one track."""
        return slice(int(self.track_start[track]), int(self.track_start[track + 1]))


def _codes(column: pa.ChunkedArray) -> tuple[list[str], NDArray[np.int64]]:
    """Distinct values in ascending order, and each row's position among them."""
    values: list[str] = sorted(pc.unique(column).to_pylist())
    return values, pc.index_in(column, pa.array(values, column.type)).to_numpy().astype(np.int64)


def _vectors(table: pa.Table, name: str, length: int | None = None) -> Floats:
    """A column of lists as a matrix; rows without a list are NaN."""
    column = pa.concat_arrays(table[name].chunks) if table[name].num_chunks else pa.array([], table[name].type)
    present = column.is_valid().to_numpy(zero_copy_only=False)
    values = column.drop_null().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    count = int(present.sum())
    width = length if length is not None else (len(values) // count if count else 0)
    if len(values) != count * width or (length is None and count and len(pc.unique(pc.list_value_length(column.drop_null()))) > 1):
        raise ValueError(f"column {name!r}: its vectors differ in length; was the video observed with different models?")
    matrix = np.full((len(column), width), np.nan, np.float32)
    matrix[present] = values.reshape(count, width)
    return matrix
