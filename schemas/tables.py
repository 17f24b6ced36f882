"""The parquet tables: one schema each, with its version in the file's metadata; one way to write them, one to read and check them.

Layout below an output root: ``<table>/<part>.parquet``. A part holds the rows of one unit of work and is replaced as a whole.
Times are int64 nanoseconds of presentation time, spans half-open [start_ns, end_ns), boxes x0, y0, x1, y1 as fractions of the
displayed frame, angles degrees. Words of an enum are dictionary-encoded strings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

WORD = pa.dictionary(pa.int8(), pa.string())
NANOSECONDS = pa.int64()
BOX = pa.list_(pa.float32(), 4)
PROBABILITIES = pa.list_(pa.float32(), 8)
VECTOR = pa.list_(pa.float32())

TABLE_KEY = b"gloria.table"
VERSION_KEY = b"gloria.version"


class TableVersionError(ValueError):
    """A file was written with a schema that this release does not read."""


class TableSchemaError(ValueError):
    """A file, or rows about to be written, do not have the columns of the table they claim to be."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's name, version and columns.

    Attributes:
        name: also its folder below the output root.
        version: goes up by one whenever a column is added, removed or changes its meaning.
        key: the columns that identify a row; rows are written sorted by them.
        columns: the arrow schema, each field with a ``doc`` in its metadata.
    """

    name: str
    version: int
    key: tuple[str, ...]
    columns: pa.Schema

    @property
    def schema(self) -> pa.Schema:
        """The arrow schema with the table's name and version in the metadata."""
        return self.columns.with_metadata({TABLE_KEY: self.name.encode(), VERSION_KEY: str(self.version).encode()})

    def empty(self) -> pa.Table:
        """A table of this schema without rows."""
        return self.schema.empty_table()

    def from_rows(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows (mappings from column name to value) as a checked arrow table, sorted by key.

        Raises:
            TableSchemaError: a row has a column the table does not have, or lacks a required one, or a value does not fit.
        """
        rows = list(rows)
        names = set(self.columns.names)
        for row in rows:
            if unknown := set(row) - names:
                raise TableSchemaError(f"table {self.name!r} has no column {', '.join(sorted(unknown))}; it has {', '.join(self.columns.names)}")
        try:
            table = pa.Table.from_pylist(rows, schema=self.schema)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise TableSchemaError(f"table {self.name!r}: {error}") from error
        for field in self.columns:
            if not field.nullable and table[field.name].null_count:
                raise TableSchemaError(f"table {self.name!r}: column {field.name!r} must not be empty")
        return self.sort(table)

    def sort(self, rows: pa.Table) -> pa.Table:
        """Rows of this table sorted by key, so that equal content gives equal files."""
        plain = pa.table({name: _without_dictionary(rows[name]) for name in self.key})
        return rows.take(pc.sort_indices(plain, [(name, "ascending") for name in self.key]))


def _without_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _field(name: str, kind: pa.DataType, doc: str, optional: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=optional, metadata={b"doc": doc.encode()})


VIDEOS = Table(
    "videos",
    1,
    ("video_id",),
    pa.schema(
        [
            _field("video_id", pa.string(), "hash of the file's size and of blocks spread over its bytes"),
            _field("uri", pa.string(), "path or URL it was read from"),
            _field("size_bytes", pa.int64(), "size of the file"),
            _field("container", pa.string(), "container format, as FFmpeg names it"),
            _field("codec", pa.string(), "video codec"),
            _field("pixel_format", pa.string(), "pixel format of the coded frames"),
            _field("width", pa.int32(), "pixels, as displayed (after rotation)"),
            _field("height", pa.int32(), "pixels, as displayed (after rotation)"),
            _field("rotation", pa.int32(), "clockwise degrees that were applied for display: 0, 90, 180, 270"),
            _field("time_base_numerator", pa.int32(), "time base of the video stream"),
            _field("time_base_denominator", pa.int32(), "time base of the video stream"),
            _field("start_ns", NANOSECONDS, "presentation time of the first frame"),
            _field("end_ns", NANOSECONDS, "end of the last frame's display"),
            _field("frame_count", pa.int64(), "frames that are displayed, counted in the packets"),
            _field("claimed_frame_count", pa.int64(), "frames the container claims; empty when it claims nothing", optional=True),
            _field("keyframe_count", pa.int64(), "frames decoding can start at"),
            _field("frame_rate", pa.float64(), "mean frames per second"),
            _field("variable_frame_rate", pa.bool_(), "the time from frame to frame changes by more than the time base's rounding"),
            _field("audio_streams", pa.int32(), "number of audio streams"),
            _field("audio_codec", pa.string(), "codec of the first audio stream", optional=True),
            _field("audio_rate", pa.int32(), "samples per second of the first audio stream", optional=True),
            _field("audio_channels", pa.int32(), "channels of the first audio stream", optional=True),
        ]
    ),
)

SHOTS = Table(
    "shots",
    1,
    ("shot_id",),
    pa.schema(
        [
            _field("shot_id", pa.string(), "video_id, segment and number of the shot in it"),
            _field("video_id", pa.string(), "see videos"),
            _field("segment", pa.int32(), "number of the segment it was observed in"),
            _field("start_ns", NANOSECONDS, "first frame"),
            _field("end_ns", NANOSECONDS, "end of the last frame, exclusive"),
            _field("frame_count", pa.int64(), "frames decoded in it"),
            _field("sampled_count", pa.int64(), "frames people were looked for in"),
            _field("starts_at", WORD, "ShotEdge"),
            _field("ends_at", WORD, "ShotEdge"),
        ]
    ),
)

OBSERVATIONS = Table(
    "observations",
    1,
    ("video_id", "pts_ns", "track_id"),
    pa.schema(
        [
            _field("video_id", pa.string(), "see videos"),
            _field("shot_id", pa.string(), "see shots"),
            _field("track_id", pa.string(), "one person through one shot"),
            _field("pts_ns", NANOSECONDS, "the frame's presentation time"),
            _field("face_box", BOX, "the face; empty when it is not seen; may reach beyond 0..1 when cut off", optional=True),
            _field(
                "face_points", pa.list_(pa.float32(), 10), "x, y of right eye, left eye, nose, right and left mouth corner (the subject's right)", optional=True
            ),
            _field("face_score", pa.float32(), "the detector's confidence", optional=True),
            _field("body_box", BOX, "the body; empty when it was not looked for or not found", optional=True),
            _field("yaw", pa.float32(), "head: 0 faces the camera, -90 nose to image-left, +90 nose to image-right", optional=True),
            _field("pitch", pa.float32(), "head: up positive", optional=True),
            _field("roll", pa.float32(), "head: clockwise positive", optional=True),
            _field("angle_source", WORD, "AngleSource", optional=True),
            _field("body_yaw", pa.float32(), "shoulders: as yaw, and +-180 faces away", optional=True),
            _field("body_confidence", pa.float32(), "0..1, visibility of the shoulders and hips", optional=True),
            _field("expression_probabilities", PROBABILITIES, "calibrated, in the order of the vocabulary's codes", optional=True),
            _field("expression_features", VECTOR, "what the calibration was computed from, so that select can do it anew", optional=True),
            _field("embedding", VECTOR, "identity, unit length", optional=True),
            _field("sharpness", pa.float32(), "of the face (the person, when there is no face), at a fixed size; higher is sharper"),
            _field("face_pixels", pa.float32(), "height of the face in pixels of the displayed frame; 0 without a face"),
            _field("brightness", pa.float32(), "mean luma of the face (person), 0..1"),
            _field("clipped", pa.float32(), "share of its pixels that are fully black or white, 0..1"),
            _field("cut_off", pa.float32(), "share of its box outside the frame, 0..1"),
        ]
    ),
)

TRACKS = Table(
    "tracks",
    1,
    ("track_id",),
    pa.schema(
        [
            _field("track_id", pa.string(), "see observations"),
            _field("video_id", pa.string(), "see videos"),
            _field("shot_id", pa.string(), "see shots"),
            _field("character_id", pa.string(), "see characters; empty when the track abstains", optional=True),
            _field("reason", WORD, "RejectReason of a track without a character", optional=True),
            _field("start_ns", NANOSECONDS, "first observation"),
            _field("end_ns", NANOSECONDS, "last observation, inclusive"),
            _field("observations", pa.int32(), "sampled frames it was seen in"),
            _field("faces", pa.int32(), "sampled frames its face was seen in"),
            _field("similarity", pa.float32(), "cosine of its mean embedding to its character's centroid", optional=True),
        ]
    ),
)

CHARACTERS = Table(
    "characters",
    1,
    ("character_id",),
    pa.schema(
        [
            _field("character_id", pa.string(), "the tracks of one person in one video"),
            _field("video_id", pa.string(), "see videos"),
            _field("tracks", pa.int32(), "number of tracks"),
            _field("shots", pa.int32(), "number of shots it appears in"),
            _field("observations", pa.int32(), "sampled frames it was seen in"),
            _field("faces", pa.int32(), "sampled frames its face was seen in"),
            _field("seconds_visible", pa.float64(), "observations divided by the sampling rate"),
            _field("start_ns", NANOSECONDS, "first observation"),
            _field("end_ns", NANOSECONDS, "last observation, inclusive"),
            _field(
                "purity",
                pa.float32(),
                "share of its face embeddings nearer to its own centroid than to any other's, and near enough; empty without legible faces",
                optional=True,
            ),
            _field("cohesion", pa.float32(), "mean cosine of its face embeddings to the centroid", optional=True),
            _field("nearest_other", pa.float32(), "highest cosine to another character's centroid in the video", optional=True),
            _field("embedding", VECTOR, "centroid, unit length; empty when it is known by its track alone", optional=True),
        ]
    ),
)

ANCHORS = Table(
    "anchors",
    1,
    ("anchor_id",),
    pa.schema(
        [
            _field("anchor_id", pa.string(), "track_id, pts_ns and kind"),
            _field("video_id", pa.string(), "see videos"),
            _field("shot_id", pa.string(), "see shots"),
            _field("track_id", pa.string(), "see tracks"),
            _field("character_id", pa.string(), "see characters; empty when its track abstains", optional=True),
            _field("pts_ns", NANOSECONDS, "the frame's presentation time"),
            _field("kind", WORD, "AnchorKind"),
            _field("subclass", WORD, "Viewpoint or Expression; empty for global, and where the classifier abstains", optional=True),
            _field("status", WORD, "Status"),
            _field("reason", WORD, "RejectReason, when rejected", optional=True),
            _field("rank", pa.int32(), "0 is the best accepted anchor of its bin; empty when rejected", optional=True),
            _field("score", pa.float32(), "0..1: confidence times quality times fitness for the kind (open eyes, whole scene); ranks the bin", optional=True),
            _field("confidence", pa.float32(), "0..1: confidence in the class", optional=True),
            _field("quality", pa.float32(), "0..1: sharpness, size, exposure, nothing cut off"),
            _field("face_box", BOX, "as observed", optional=True),
            _field("body_box", BOX, "as observed", optional=True),
            _field("yaw", pa.float32(), "smoothed along the track; what the view was decided by", optional=True),
            _field("pitch", pa.float32(), "as observed", optional=True),
            _field("roll", pa.float32(), "as observed", optional=True),
        ]
    ),
)

CLIPS = Table(
    "clips",
    1,
    ("clip_id",),
    pa.schema(
        [
            _field("clip_id", pa.string(), "character_id and start; the key of its shard sample"),
            _field("video_id", pa.string(), "see videos"),
            _field("shot_id", pa.string(), "see shots"),
            _field("track_id", pa.string(), "the main character's track"),
            _field("character_id", pa.string(), "the main character"),
            _field("start_ns", NANOSECONDS, "span"),
            _field("end_ns", NANOSECONDS, "span, exclusive"),
            _field("frame_count", pa.int32(), "frames after resampling to frame_rate"),
            _field("frame_rate", pa.float64(), "frames per second after resampling"),
            _field("status", WORD, "Status"),
            _field("reason", WORD, "RejectReason, when rejected", optional=True),
            _field("visible_share", pa.float32(), "share of the sampled frames in it that show the main character"),
            _field("face_share", pa.float32(), "share of the sampled frames in it that show the main character's face"),
            _field("others", pa.int32(), "other characters or tracks seen in it"),
            _field("anchors_inside", pa.int32(), "accepted anchors of the character within the span"),
            _field("anchors_outside", pa.int32(), "accepted anchors of the character outside the span"),
            _field("caption", pa.string(), "text condition; empty until refined", optional=True),
        ]
    ),
)

FAILURES = Table(
    "failures",
    1,
    ("source", "stage"),
    pa.schema(
        [
            _field("source", pa.string(), "what failed: the input's path or URL, with #segment, or a clip_id"),
            _field("stage", WORD, "Stage"),
            _field("kind", WORD, "FailureKind"),
            _field("message", pa.string(), "what happened and what to do"),
            _field("attempt", pa.int32(), "how often it was tried"),
            _field("video_id", pa.string(), "see videos; empty when the file could not even be hashed", optional=True),
            _field("config_hash", pa.string(), "hash of the stage's configuration"),
            _field("versions", pa.map_(pa.string(), pa.string()), "package versions of the worker"),
            _field("failed_at", pa.timestamp("us", tz="UTC"), "wall-clock time"),
        ]
    ),
)

UNITS = Table(
    "units",
    1,
    ("unit_id",),
    pa.schema(
        [
            _field("unit_id", pa.string(), "stage, video_id and segment"),
            _field("stage", WORD, "Stage"),
            _field("video_id", pa.string(), "see videos"),
            _field("segment", pa.int32(), "number of the segment; 0 for stages that take a whole video"),
            _field("start_ns", NANOSECONDS, "span of the segment"),
            _field("end_ns", NANOSECONDS, "span of the segment, exclusive"),
            _field("config_hash", pa.string(), "hash of the stage's configuration"),
            _field("input_hash", pa.string(), "hash of what it was computed from"),
            _field("counts", pa.map_(pa.string(), pa.int64()), "how many of what"),
            _field("seconds", pa.map_(pa.string(), pa.float64()), "wall-clock seconds by step"),
            _field("host", pa.string(), "the machine that did it"),
            _field("finished_at", pa.timestamp("us", tz="UTC"), "wall-clock time; this row is written last"),
        ]
    ),
)

SHARD_INDEX = Table(
    "shards",
    1,
    ("shard", "offset"),
    pa.schema(
        [
            _field("key", pa.string(), "the sample's key: clip_id"),
            _field("shard", pa.string(), "file name of the tar, beside the index"),
            _field("offset", pa.int64(), "byte offset of the sample's first tar header"),
            _field("size", pa.int64(), "bytes of the sample in the tar, headers and padding included"),
            _field("member_names", pa.list_(pa.string()), "the sample's files, without the key and its dot"),
            _field("member_offsets", pa.list_(pa.int64()), "byte offset of each file's content in the tar"),
            _field("member_sizes", pa.list_(pa.int64()), "bytes of each file's content"),
            _field("frame_count", pa.int32(), "frames of the clip"),
            _field("frame_rate", pa.float64(), "frames per second of the clip"),
            _field("width", pa.int32(), "pixels of the clip; width and height are the size bucket"),
            _field("height", pa.int32(), "pixels of the clip"),
            _field("audio", pa.bool_(), "the sample has audio"),
            _field("anchors_global", pa.int32(), "number of global anchors"),
            _field("anchors_viewpoint", pa.int32(), "number of viewpoint anchors"),
            _field("anchors_expression", pa.int32(), "number of expression anchors"),
            _field("anchors_outside", pa.int32(), "number of anchors from outside the clip"),
            _field("video_id", pa.string(), "see videos"),
            _field("character_id", pa.string(), "see characters: hold out by this, never by clip"),
            _field("sample_hash", pa.string(), "hash of everything the sample was made from: it is packed anew when this changes"),
        ]
    ),
)

TABLES = {table.name: table for table in (VIDEOS, SHOTS, OBSERVATIONS, TRACKS, CHARACTERS, ANCHORS, CLIPS, FAILURES, UNITS, SHARD_INDEX)}


def write_table(table: Table, rows: pa.Table, file: BinaryIO) -> None:
    """Write rows of a table as parquet.

    Args:
        table: which table the rows are of.
        rows: made with ``table.from_rows``, or by any other way with the same columns.
        file: opened for writing bytes.

    Raises:
        TableSchemaError: the rows' columns are not the table's.
    """
    if not rows.schema.equals(table.columns, check_metadata=False):
        raise TableSchemaError(f"table {table.name!r} version {table.version} has the columns\n{table.columns}\nbut the rows have\n{rows.schema}")
    pq.write_table(rows.cast(table.schema), file, compression="zstd")


def read_table(table: Table, file: BinaryIO | str, columns: list[str] | None = None) -> pa.Table:
    """Read a parquet file and check that it is this table in this version.

    Args:
        table: which table is expected.
        file: opened for reading bytes, or a local path.
        columns: only these; all when None.

    Raises:
        TableVersionError: the file's table was written by an older or newer release; the message says which, and what to do.
        TableSchemaError: the file is not this table at all.
    """
    parquet = pq.ParquetFile(file)
    check_schema(table, parquet.schema_arrow, str(file if isinstance(file, str) else getattr(file, "name", "the file")))
    rows = parquet.read(columns=columns)
    # Parquet names the elements of lists and maps in its own way; the cast gives every reader the very same types.
    return rows.cast(pa.schema([table.schema.field(name) for name in rows.column_names], table.schema.metadata))


def check_schema(table: Table, schema: pa.Schema, source: str) -> None:
    """Raise when a parquet file's schema is not the table's; see read_table."""
    metadata = schema.metadata or {}
    name, version = metadata.get(TABLE_KEY, b"").decode(), metadata.get(VERSION_KEY, b"").decode()
    if name != table.name:
        raise TableSchemaError(f"{source} is not the table {table.name!r}" + (f" but {name!r}" if name else ": it was not written by this project"))
    if version != str(table.version):
        newer = version.isdigit() and int(version) > table.version
        remedy = "upgrade gloria-anchors to read it" if newer else "run the stage that writes it again, or read it with the release that wrote it"
        raise TableVersionError(f"{source}: table {name!r} has version {version}, this release reads version {table.version}; {remedy}")
    if not schema.equals(table.columns, check_metadata=False):
        raise TableSchemaError(f"{source}: the columns of {name!r} version {version} are not what they should be; the file was changed by another program")
