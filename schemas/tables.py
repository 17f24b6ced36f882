"""The project's parquet tables, each column with a sentence.

Layout below an output root: ``<table>/<part>.parquet``. A part holds the rows of one unit of work and is replaced as a whole.
Times are int64 nanoseconds of presentation time, spans half-open [start_ns, end_ns), boxes x0, y0, x1, y1 as fractions of the
displayed frame, angles degrees. Words of an enum are dictionary-encoded strings.
"""

import pyarrow as pa

from schemas.table import BOX, NANOSECONDS, PROBABILITIES, VECTOR, WORD, Table, column

VIDEOS = Table(
    "videos",
    1,
    ("video_id",),
    pa.schema(
        [
            column("video_id", pa.string(), "hash of the file's size and of blocks spread over its bytes"),
            column("uri", pa.string(), "path or URL it was read from"),
            column("size_bytes", pa.int64(), "size of the file"),
            column("container", pa.string(), "container format, as FFmpeg names it"),
            column("codec", pa.string(), "video codec"),
            column("pixel_format", pa.string(), "pixel format of the coded frames"),
            column("width", pa.int32(), "pixels, as displayed (after rotation)"),
            column("height", pa.int32(), "pixels, as displayed (after rotation)"),
            column("rotation", pa.int32(), "clockwise degrees that were applied for display: 0, 90, 180, 270"),
            column("time_base_numerator", pa.int32(), "time base of the video stream"),
            column("time_base_denominator", pa.int32(), "time base of the video stream"),
            column("start_ns", NANOSECONDS, "presentation time of the first frame"),
            column("end_ns", NANOSECONDS, "end of the last frame's display"),
            column("frame_count", pa.int64(), "frames that are displayed, counted in the packets"),
            column("claimed_frame_count", pa.int64(), "frames the container claims; empty when it claims nothing", optional=True),
            column("keyframe_count", pa.int64(), "frames decoding can start at"),
            column("frame_rate", pa.float64(), "mean frames per second"),
            column("variable_frame_rate", pa.bool_(), "the time from frame to frame changes by more than the time base's rounding"),
            column("audio_streams", pa.int32(), "number of audio streams"),
            column("audio_codec", pa.string(), "codec of the first audio stream", optional=True),
            column("audio_rate", pa.int32(), "samples per second of the first audio stream", optional=True),
            column("audio_channels", pa.int32(), "channels of the first audio stream", optional=True),
        ]
    ),
)

SHOTS = Table(
    "shots",
    1,
    ("shot_id",),
    pa.schema(
        [
            column("shot_id", pa.string(), "video_id, segment and number of the shot in it"),
            column("video_id", pa.string(), "see videos"),
            column("segment", pa.int32(), "number of the segment it was observed in"),
            column("start_ns", NANOSECONDS, "first frame"),
            column("end_ns", NANOSECONDS, "end of the last frame, exclusive"),
            column("frame_count", pa.int64(), "frames decoded in it"),
            column("sampled_count", pa.int64(), "frames people were looked for in"),
            column("starts_at", WORD, "ShotEdge"),
            column("ends_at", WORD, "ShotEdge"),
        ]
    ),
)

OBSERVATIONS = Table(
    "observations",
    1,
    ("video_id", "pts_ns", "track_id"),
    pa.schema(
        [
            column("video_id", pa.string(), "see videos"),
            column("shot_id", pa.string(), "see shots"),
            column("track_id", pa.string(), "one person through one shot"),
            column("pts_ns", NANOSECONDS, "the frame's presentation time"),
            column("face_box", BOX, "the face; empty when it is not seen; may reach beyond 0..1 when cut off", optional=True),
            column(
                "face_points", pa.list_(pa.float32(), 10), "x, y of right eye, left eye, nose, right and left mouth corner (the subject's right)", optional=True
            ),
            column("face_score", pa.float32(), "the detector's confidence", optional=True),
            column("body_box", BOX, "the body; empty when it was not looked for or not found", optional=True),
            column("yaw", pa.float32(), "head: 0 faces the camera, -90 nose to image-left, +90 nose to image-right", optional=True),
            column("pitch", pa.float32(), "head: up positive", optional=True),
            column("roll", pa.float32(), "head: clockwise positive", optional=True),
            column("angle_source", WORD, "AngleSource", optional=True),
            column("body_yaw", pa.float32(), "shoulders: as yaw, and +-180 faces away", optional=True),
            column("body_confidence", pa.float32(), "0..1, visibility of the shoulders and hips", optional=True),
            column("expression_probabilities", PROBABILITIES, "calibrated, in the order of the vocabulary's codes", optional=True),
            column("expression_features", VECTOR, "what the calibration was computed from, so that select can do it anew", optional=True),
            column("embedding", VECTOR, "identity, unit length", optional=True),
            column("sharpness", pa.float32(), "of the face (the person, when there is no face), at a fixed size; higher is sharper"),
            column("face_pixels", pa.float32(), "height of the face in pixels of the displayed frame; 0 without a face"),
            column("brightness", pa.float32(), "mean luma of the face (person), 0..1"),
            column("clipped", pa.float32(), "share of its pixels that are fully black or white, 0..1"),
            column("cut_off", pa.float32(), "share of its box outside the frame, 0..1"),
        ]
    ),
)

TRACKS = Table(
    "tracks",
    1,
    ("track_id",),
    pa.schema(
        [
            column("track_id", pa.string(), "see observations"),
            column("video_id", pa.string(), "see videos"),
            column("shot_id", pa.string(), "see shots"),
            column("character_id", pa.string(), "see characters; empty when the track abstains", optional=True),
            column("reason", WORD, "RejectReason of a track without a character", optional=True),
            column("start_ns", NANOSECONDS, "first observation"),
            column("end_ns", NANOSECONDS, "last observation, inclusive"),
            column("observations", pa.int32(), "sampled frames it was seen in"),
            column("faces", pa.int32(), "sampled frames its face was seen in"),
            column("similarity", pa.float32(), "cosine of its mean embedding to its character's centroid", optional=True),
        ]
    ),
)

CHARACTERS = Table(
    "characters",
    1,
    ("character_id",),
    pa.schema(
        [
            column("character_id", pa.string(), "the tracks of one person in one video"),
            column("video_id", pa.string(), "see videos"),
            column("tracks", pa.int32(), "number of tracks"),
            column("shots", pa.int32(), "number of shots it appears in"),
            column("observations", pa.int32(), "sampled frames it was seen in"),
            column("faces", pa.int32(), "sampled frames its face was seen in"),
            column("seconds_visible", pa.float64(), "observations divided by the sampling rate"),
            column("start_ns", NANOSECONDS, "first observation"),
            column("end_ns", NANOSECONDS, "last observation, inclusive"),
            column(
                "purity",
                pa.float32(),
                "share of its face embeddings nearer to its own centroid than to any other's, and near enough; empty without legible faces",
                optional=True,
            ),
            column("cohesion", pa.float32(), "mean cosine of its face embeddings to the centroid", optional=True),
            column("nearest_other", pa.float32(), "highest cosine to another character's centroid in the video", optional=True),
            column("embedding", VECTOR, "centroid, unit length; empty when it is known by its track alone", optional=True),
        ]
    ),
)

ANCHORS = Table(
    "anchors",
    2,
    ("anchor_id",),
    pa.schema(
        [
            column("anchor_id", pa.string(), "track_id, pts_ns and kind"),
            column("video_id", pa.string(), "see videos"),
            column("shot_id", pa.string(), "see shots"),
            column("track_id", pa.string(), "see tracks"),
            column("character_id", pa.string(), "see characters; empty when its track abstains", optional=True),
            column("pts_ns", NANOSECONDS, "the frame's presentation time"),
            column("kind", WORD, "AnchorKind"),
            column("subclass", WORD, "Viewpoint or Expression; empty for global, and where the classifier abstains", optional=True),
            column("likeliest", WORD, "Viewpoint or Expression that a classifier leans to which abstains for want of certainty", optional=True),
            column("status", WORD, "Status, after everybody who was asked"),
            column("reason", WORD, "RejectReason when rejected, PendingReason when pending", optional=True),
            column("rank", pa.int32(), "0 is the best accepted (or pending) anchor of its bin; empty when rejected", optional=True),
            column("score", pa.float32(), "0..1: confidence times quality times fitness for the kind (open eyes, whole scene); ranks the bin", optional=True),
            column("confidence", pa.float32(), "0..1: confidence in the class", optional=True),
            column("quality", pa.float32(), "0..1: sharpness, size, exposure, nothing cut off"),
            column("face_box", BOX, "as observed", optional=True),
            column("body_box", BOX, "as observed", optional=True),
            column("yaw", pa.float32(), "smoothed along the track; what the view was decided by", optional=True),
            column("pitch", pa.float32(), "as observed", optional=True),
            column("roll", pa.float32(), "as observed", optional=True),
            column("selected_subclass", WORD, "subclass as the stage select left it, before anybody judged", optional=True),
            column("selected_status", WORD, "status, likewise"),
            column("selected_reason", WORD, "reason, likewise", optional=True),
            column("selected_rank", pa.int32(), "rank, likewise", optional=True),
            column("decision", WORD, "Decision of the judge; empty when it was not to be asked", optional=True),
            column("verdict_id", pa.string(), "the verdict that the decision rests on, see verdicts", optional=True),
        ]
    ),
)

CLIPS = Table(
    "clips",
    2,
    ("clip_id",),
    pa.schema(
        [
            column("clip_id", pa.string(), "character_id and start; the key of its shard sample"),
            column("video_id", pa.string(), "see videos"),
            column("shot_id", pa.string(), "see shots"),
            column("track_id", pa.string(), "the main character's track"),
            column("character_id", pa.string(), "the main character"),
            column("start_ns", NANOSECONDS, "span"),
            column("end_ns", NANOSECONDS, "span, exclusive"),
            column("frame_count", pa.int32(), "frames after resampling to frame_rate"),
            column("frame_rate", pa.float64(), "frames per second after resampling"),
            column("status", WORD, "Status"),
            column("reason", WORD, "RejectReason, when rejected", optional=True),
            column("visible_share", pa.float32(), "share of the sampled frames in it that show the main character"),
            column("face_share", pa.float32(), "share of the sampled frames in it that show the main character's face"),
            column("others", pa.int32(), "other characters or tracks seen in it"),
            column("anchors_inside", pa.int32(), "accepted anchors of the character within the span"),
            column("anchors_outside", pa.int32(), "accepted anchors of the character outside the span"),
            column("caption", pa.string(), "text condition; empty until refined", optional=True),
            column("selected_status", WORD, "status as the stage select left it, before anchors were judged"),
            column("selected_reason", WORD, "reason, likewise", optional=True),
            column("verdict_id", pa.string(), "the verdict that holds the caption, see verdicts", optional=True),
        ]
    ),
)

VERDICTS = Table(
    "verdicts",
    1,
    ("verdict_id",),
    pa.schema(
        [
            column("verdict_id", pa.string(), "hash of picture_hash, question, stated, prompt_hash and model: what is known by it is not asked again"),
            column("video_id", pa.string(), "see videos"),
            column("character_id", pa.string(), "see characters"),
            column("subject", pa.string(), "the anchor_id or clip_id it was asked for first; anchors and clips name their verdict themselves"),
            column("question", WORD, "QuestionKind"),
            column("stated", WORD, "the class that was asked about", optional=True),
            column("named", WORD, "the class that the judge names; empty when it names none", optional=True),
            column("same_person", WORD, "Agreement: the person of the character's global anchor; empty when there was none to compare with", optional=True),
            column("flaws", pa.list_(pa.string()), "Flaw: what the judge finds wrong with the face", optional=True),
            column("certainty", pa.int8(), "the judge's own, 1..5", optional=True),
            column("caption", pa.string(), "what the clip shows, in sentences", optional=True),
            column("problem", WORD, "PendingReason, when there is no usable answer", optional=True),
            column("message", pa.string(), "the problem in words", optional=True),
            column("answer", pa.string(), "the model's words as they came, at most 8,000 characters; empty when none came", optional=True),
            column("finish_reason", pa.string(), "why the model stopped, in the server's words", optional=True),
            column("model", pa.string(), "id of the model, as the server reports it"),
            column("prompt", pa.string(), "name of the prompt"),
            column("prompt_version", pa.string(), "the version its file states"),
            column("prompt_hash", pa.string(), "hash of the prompt's text and of the schema of its answers"),
            column("picture_hash", pa.string(), "hash of what the pictures are made from: video, times, regions, size and quality, in their order"),
            column("pictures", pa.int32(), "number of pictures"),
            column("request_id", pa.string(), "of the request that brought the answer"),
            column("attempts", pa.int32(), "requests that were sent"),
            column("repaired", pa.bool_(), "the first answer was of no use, and the question was repeated"),
            column("prompt_tokens", pa.int32(), "as the server counts them", optional=True),
            column("completion_tokens", pa.int32(), "likewise", optional=True),
            column("latency_seconds", pa.float32(), "of the request that brought the answer; empty when none did", optional=True),
            column("answered_at", pa.timestamp("us", tz="UTC"), "wall-clock time"),
        ]
    ),
)

FAILURES = Table(
    "failures",
    1,
    ("source", "stage"),
    pa.schema(
        [
            column("source", pa.string(), "what failed: the input's path or URL, with #segment, or a clip_id"),
            column("stage", WORD, "Stage"),
            column("kind", WORD, "FailureKind"),
            column("message", pa.string(), "what happened and what to do"),
            column("attempt", pa.int32(), "how often it was tried"),
            column("video_id", pa.string(), "see videos; empty when the file could not even be hashed", optional=True),
            column("config_hash", pa.string(), "hash of the stage's configuration"),
            column("versions", pa.map_(pa.string(), pa.string()), "package versions of the worker"),
            column("failed_at", pa.timestamp("us", tz="UTC"), "wall-clock time"),
        ]
    ),
)

UNITS = Table(
    "units",
    1,
    ("unit_id",),
    pa.schema(
        [
            column("unit_id", pa.string(), "stage, video_id and segment"),
            column("stage", WORD, "Stage"),
            column("video_id", pa.string(), "see videos"),
            column("segment", pa.int32(), "number of the segment; 0 for stages that take a whole video"),
            column("start_ns", NANOSECONDS, "span of the segment"),
            column("end_ns", NANOSECONDS, "span of the segment, exclusive"),
            column("config_hash", pa.string(), "hash of the stage's configuration"),
            column("input_hash", pa.string(), "hash of what it was computed from"),
            column("counts", pa.map_(pa.string(), pa.int64()), "how many of what"),
            column("seconds", pa.map_(pa.string(), pa.float64()), "wall-clock seconds by step"),
            column("host", pa.string(), "the machine that did it"),
            column("finished_at", pa.timestamp("us", tz="UTC"), "wall-clock time; this row is written last"),
        ]
    ),
)

SHARD_INDEX = Table(
    "shards",
    1,
    ("shard", "offset"),
    pa.schema(
        [
            column("key", pa.string(), "the sample's key: clip_id"),
            column("shard", pa.string(), "file name of the tar, beside the index; path or URL of one that lies elsewhere"),
            column("offset", pa.int64(), "byte offset of the sample's first tar header"),
            column("size", pa.int64(), "bytes of the sample in the tar, headers and padding included"),
            column("member_names", pa.list_(pa.string()), "the sample's files, without the key and its dot"),
            column("member_offsets", pa.list_(pa.int64()), "byte offset of each file's content in the tar"),
            column("member_sizes", pa.list_(pa.int64()), "bytes of each file's content"),
            column("frame_count", pa.int32(), "frames of the clip"),
            column("frame_rate", pa.float64(), "frames per second of the clip"),
            column("width", pa.int32(), "pixels of the clip; width and height are the size bucket"),
            column("height", pa.int32(), "pixels of the clip"),
            column("audio", pa.bool_(), "the sample has audio"),
            column("anchors_global", pa.int32(), "number of global anchors"),
            column("anchors_viewpoint", pa.int32(), "number of viewpoint anchors"),
            column("anchors_expression", pa.int32(), "number of expression anchors"),
            column("anchors_outside", pa.int32(), "number of anchors from outside the clip"),
            column("video_id", pa.string(), "see videos"),
            column("character_id", pa.string(), "see characters: hold out by this, never by clip"),
            column("sample_hash", pa.string(), "hash of everything the sample was made from: it is packed anew when this changes"),
        ]
    ),
)

CHARACTER_ANCHORS = Table(
    "character_anchors",
    1,
    ("anchor_id",),
    pa.schema(
        [
            column("anchor_id", pa.string(), "see anchors"),
            column("character_id", pa.string(), "see characters"),
            column("video_id", pa.string(), "see videos"),
            column("pts_ns", NANOSECONDS, "the frame's presentation time"),
            column("kind", WORD, "AnchorKind"),
            column("subclass", WORD, "Viewpoint or Expression; empty for global", optional=True),
            column("rank", pa.int32(), "0 is the best anchor of its character and class in this file"),
            column("score", pa.float32(), "0..1, see anchors", optional=True),
            column("face_box", BOX, "as observed", optional=True),
            column("width", pa.int32(), "pixels of the picture, as displayed"),
            column("height", pa.int32(), "pixels of the picture, as displayed"),
            column("picture", pa.binary(), "the whole frame, bytes of a JPEG file"),
        ]
    ),
)
"""Anchors with their pictures, made for whoever conditions a model on them; a file of its own, not a part below an output root."""

TABLES = {table.name: table for table in (VIDEOS, SHOTS, OBSERVATIONS, TRACKS, CHARACTERS, ANCHORS, CLIPS, VERDICTS, FAILURES, UNITS, SHARD_INDEX)}
"""Those of an output root, by the names of their folders."""
