"""Can people be told apart: all pairs of identity_lfw (100 images, 10 people), and clustering them without being told how many there are."""

import csv
import errno
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.accuracy import Row
from pipeline.assets import fetch
from pipeline.clustering import cluster_embeddings
from pipeline.perception.faces import YuNet
from pipeline.perception.identity import SFace
from pipeline.perception.protocols import Face, Image

SET = "identity_lfw"


def measure(data: Path) -> list[Row]:
    """AUC over all pairs of images and pairwise F1 of the clustering, with the embedded detector and embedder."""
    people, embeddings, same_person_cosine, skipped = _embed(data / "labelled" / SET)
    rows, columns = np.triu_indices(len(people), 1)
    same = people[rows] == people[columns]
    cosines = (embeddings @ embeddings.T)[rows, columns]
    coverage = len(people) / (len(people) + sum(skipped.values()))
    labels = cluster_embeddings(embeddings, same_person_cosine)
    together = labels[rows] == labels[columns]
    spread = f"same person: lowest {cosines[same].min():.3f}; others: highest {cosines[~same].max():.3f}"
    found = f"{len(set(labels))} clusters for {len(set(people))} people, joined from cosine {same_person_cosine}"
    f1_of_each = {person: _f1(together[of], same[of]) for person in sorted(set(people)) if (of := (people[rows] == person) | (people[columns] == person)).any()}
    return [
        Row(SET, "AUC over all pairs", len(cosines), coverage, float(roc_auc_score(same, cosines)), 0.999, skipped=skipped, note=spread),
        Row(SET, "pairwise F1 of clustering", len(people), coverage, _f1(together, same), 0.98, f1_of_each, skipped, found),
    ]


def _embed(folder: Path) -> tuple[NDArray[np.str_], NDArray[np.float32], float, Counter[str]]:
    faces, identity = YuNet(fetch("yunet")), SFace(fetch("sface"))
    people, embeddings, skipped = [], [], Counter[str]()
    with (folder / "labels.csv").open(newline="") as file:
        for label in csv.DictReader(file):
            image = _read(folder / "images" / label["file"])
            found = faces.detect(image)
            if not found:
                skipped["no face found"] += 1
                continue
            # the person a picture is about is its largest face
            embeddings.append(identity.embed(image, max(found, key=_area)))
            people.append(label["person"])
    return np.array(people), np.stack(embeddings), identity.same_person_cosine, skipped


def _read(path: Path) -> Image:
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(errno.ENOENT, "no readable picture", str(path))
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _area(face: Face) -> float:
    x0, y0, x1, y1 = face.box
    return float((x1 - x0) * (y1 - y0))


def _f1(together: NDArray[np.bool_], same: NDArray[np.bool_]) -> float:
    """F1 of the pairs put together, against the pairs that belong together."""
    right = int((together & same).sum())
    return 2 * right / (int(together.sum()) + int(same.sum())) if right else 0.0
