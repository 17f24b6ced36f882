"""Is the side of a person told right: heads (viewpoint_cmu), bodies in single pictures (orientation_coco), a person turning in a video.

Pictures and video take the way of any observation: the people finder of ``observe``, then the views of ``select``.
"""

import csv
import errno
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.accuracy import Row
from pipeline.observations import Observations
from pipeline.observe import observe_segment
from pipeline.people import PeopleFinder, PeopleOptions, Person
from pipeline.perception.models import load_perception
from pipeline.perception.protocols import Image, Perception
from pipeline.perception.square import square_crop
from pipeline.select.views import ViewOptions, classify_views
from pipeline.stopwatch import Stopwatch
from pipeline.video.index import read_index
from pipeline.video.segments import plan_segments
from schemas.vocabulary import Viewpoint

CMU, COCO, TENNIS = "viewpoint_cmu", "orientation_coco", "gvhmr_tennis_fullturn"

CMU_OPTIONS = ViewOptions(front_to=15.0, side_from=25.0)
"""The people of this set turn their heads by some 25 to 60 degrees."""
CMU_ENLARGED = 2
"""The set's pictures have 128 x 120 pixels; a detector that expects frames of a video finds more of their faces in larger ones."""
CMU_VIEWS = {"straight": Viewpoint.FRONT, "left": Viewpoint.RIGHT, "right": Viewpoint.LEFT}
"""Its left is the person's own, so that the nose points to image-right and the camera sees the right side of the face."""

COCO_OPTIONS = ViewOptions(body_side_to=95.0, back_from=105.0, min_backs=1)
"""This set has no class between side and back: it calls back whoever shows more of the back than of the front. A picture has no neighbours."""
SINGLE_PICTURE = ViewOptions(min_backs=1)
COCO_VIEWS = {"front": Viewpoint.FRONT, "back": Viewpoint.BACK, "faces_image_left": Viewpoint.LEFT, "faces_image_right": Viewpoint.RIGHT}
COCO_MARGIN = 0.125
"""Of the larger side of a person's box, added around it."""

TURN = (("front", 6, 60), ("side", 84, 84), ("back", 149, 162), ("side", 188, 188), ("back", 253, 266))
"""Frame ranges of the tennis clip, by looking at it."""
TURN_FRAME_TOLERANCE = 3


Pairs = Sequence[tuple[Viewpoint, Viewpoint | None]]
"""What is true and what was answered."""


def measure(data: Path) -> list[Row]:
    """The figures of the three sets; see the module."""
    with load_perception() as perception:
        return [*_cmu(data, perception), *_coco(data, perception), *_tennis(data, perception)]


def _cmu(data: Path, perception: Perception) -> list[Row]:
    folder = data / "labelled" / CMU
    pairs: list[tuple[Viewpoint, Viewpoint | None]] = []
    skipped = Counter[str]()
    for label in _labels(folder):
        if label["direction"] not in CMU_VIEWS:
            skipped[f"looks {label['direction']}"] += 1
            continue
        image = _enlarged(_read(folder / "images" / label["file"]), CMU_ENLARGED)
        people = [person for person in _look(image, perception) if person.face is not None]
        largest = max(people, key=lambda person: person.head_size, default=None)
        pairs.append((CMU_VIEWS[label["direction"]], _view(largest, CMU_OPTIONS)))
    note = f"front to {CMU_OPTIONS.front_to:g}, side from {CMU_OPTIONS.side_from:g} degrees; pictures enlarged {CMU_ENLARGED} times"
    return [_precision_row(CMU, "precision of front, left, right", pairs, 0.98, skipped, note), _coverage_row(CMU, pairs, 0.85)]


def _coco(data: Path, perception: Perception) -> list[Row]:
    folder = data / "labelled" / COCO
    strict, wide = [], []
    for label in _labels(folder):
        box = np.array([float(label[key]) for key in ("x", "y", "w", "h")])
        crop, corner = _around(_read(folder / "images" / label["file"]), box)
        person = _person_of(_look(crop, perception), np.concatenate([box[:2] - corner, box[:2] + box[2:] - corner]))
        truth = COCO_VIEWS[label["orientation"]]
        strict.append((truth, _view(person, SINGLE_PICTURE)))
        wide.append((truth, _view(person, COCO_OPTIONS)))
    backs = [view is Viewpoint.BACK for truth, view in wide if truth is Viewpoint.BACK]
    not_back = [view is not Viewpoint.BACK for truth, view in wide if truth is Viewpoint.FRONT]
    widened = f"back from {COCO_OPTIONS.back_from:g} degrees"
    return [
        Row(COCO, "backs found", len(backs), 1.0, float(np.mean(backs)), 5 / 6, note=f"{sum(backs)} of {len(backs)}; {widened}"),
        Row(COCO, "fronts not called back", len(not_back), 1.0, float(np.mean(not_back)), 1.0, note=widened),
        _precision_row(COCO, "precision of all views", wide, None, {}, widened),
        _precision_row(COCO, "precision of all views, as in select", strict, None, {}, f"back from {SINGLE_PICTURE.back_from:g} degrees"),
    ]


def _tennis(data: Path, perception: Perception) -> list[Row]:
    path = data / "videos" / f"{TENNIS}.mp4"
    index = read_index(str(path))
    observed = observe_segment(str(path), index, plan_segments(index, 3600.0)[0], perception)
    frames, views = _views_of_main_track(observed.observations, index.pts_ns)
    runs = _runs(views[views >= 0])
    right, found = zip(*(_matches(frames, views, *stage) for stage in TURN), strict=True)
    in_order = runs[: len(TURN)] == [word for word, _, _ in TURN]
    note = f"read {'-'.join(runs)}; views of the longest track"
    return [
        Row(TENNIS, "stages of the turn read right", len(TURN), float(np.mean(found)), float(np.mean(right)), 1.0, note=note),
        Row(TENNIS, "stages of the turn in order", 1, 1.0, float(in_order), 1.0, note=note),
    ]


def _views_of_main_track(observations: pa.Table, pts_ns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Frame numbers and views of the track with the most observations."""
    seen = Observations.from_table(observations)
    rows = seen.rows_of(int(np.bincount(seen.track).argmax()))
    views = classify_views(
        seen.pts_ns[rows], seen.yaw[rows], seen.angle_source[rows], seen.body_yaw[rows], seen.body_confidence[rows], seen.has_face[rows], ViewOptions()
    )
    return np.searchsorted(pts_ns, seen.pts_ns[rows]).astype(np.int64), views.codes


def _matches(frames: NDArray[np.int64], views: NDArray[np.int8], word: str, first: int, last: int) -> tuple[bool, bool]:
    """Whether all clear views of a stage are right, and whether there are any."""
    within = (frames >= first - TURN_FRAME_TOLERANCE) & (frames <= last + TURN_FRAME_TOLERANCE) & (views >= 0)
    words = {_coarse(view) for view in views[within].tolist()}
    return words == {word}, bool(words)


def _runs(views: NDArray[np.int8]) -> list[str]:
    """The views in order, each once as long as it lasts, left and right both a side."""
    words = [_coarse(view) for view in views.tolist()]
    return [word for k, word in enumerate(words) if k == 0 or word != words[k - 1]]


def _coarse(view: int) -> str:
    return "side" if view in (Viewpoint.LEFT, Viewpoint.RIGHT) else Viewpoint(view).word


def _look(image: Image, perception: Perception) -> list[Person]:
    return PeopleFinder(perception, PeopleOptions(), Stopwatch()).find(image, [], search_everywhere=True)


def _view(person: Person | None, options: ViewOptions) -> Viewpoint | None:
    """The view of a single picture: a track of one observation."""
    if person is None:
        return None
    nothing = np.array([np.nan], np.float32)
    pose, body = person.pose, person.body
    views = classify_views(
        np.zeros(1, np.int64),
        nothing if pose is None else np.array([pose.yaw], np.float32),
        [None if pose is None else str(pose.source)],
        nothing if body is None else np.array([body.yaw], np.float32),
        nothing if body is None else np.array([body.confidence], np.float32),
        np.array([person.face is not None]),
        options,
    )
    return None if views.codes[0] < 0 else Viewpoint(int(views.codes[0]))


def _person_of(people: Sequence[Person], box: NDArray[np.float64]) -> Person | None:
    """The person a box was drawn around: the head inside it that is nearest to the middle of its upper edge."""
    x0, y0, x1, y1 = box
    inside = [person for person in people if x0 <= person.head[0] <= x1 and y0 <= person.head[1] <= y1]
    return min(inside, key=lambda person: abs(person.head[0] - (x0 + x1) / 2) / (x1 - x0) + (person.head[1] - y0) / (y1 - y0), default=None)


def _precision_row(set_name: str, measure: str, pairs: Pairs, target: float | None, skipped: Mapping[str, int], note: str) -> Row:
    answered = [(truth, view) for truth, view in pairs if view is not None]
    of_each = {view.word: float(np.mean([truth is view for truth, found in answered if found is view])) for view in sorted({view for _, view in answered})}
    value = float(np.mean([truth is view for truth, view in answered])) if answered else 0.0
    return Row(set_name, measure, len(pairs), len(answered) / len(pairs), value, target, of_each, skipped, note)


def _coverage_row(set_name: str, pairs: Pairs, target: float) -> Row:
    share = float(np.mean([view is not None for _, view in pairs]))
    of_each = {truth.word: float(np.mean([view is not None for of, view in pairs if of is truth])) for truth in sorted({truth for truth, _ in pairs})}
    return Row(set_name, "coverage", len(pairs), share, share, target, of_each, note="per class by the true view")


def _labels(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _read(path: Path) -> Image:
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(errno.ENOENT, "no readable picture", str(path))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _enlarged(image: Image, times: int) -> Image:
    return np.asarray(cv2.resize(image, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC), np.uint8)


def _around(image: Image, box: NDArray[np.float64]) -> tuple[Image, NDArray[np.float64]]:
    """The square around a person's box (x, y, width, height), and the corner of it in the image."""
    side = (1 + 2 * COCO_MARGIN) * float(box[2:].max())
    center = box[:2] + box[2:] / 2
    return square_crop(image, (float(center[0]), float(center[1])), side, round(side)), np.round(center - side / 2)
