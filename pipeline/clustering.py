"""Grouping identity embeddings by person: agglomerative, average linkage on the cosine, with pairs that must stay apart."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 4096
"""Embeddings that are compared all with all at once: 64 MiB of cosines."""


def cluster_embeddings(
    embeddings: NDArray[np.float32],
    same_person_cosine: float,
    weights: NDArray[np.float64] | None = None,
    apart: Sequence[tuple[int, int]] = (),
) -> NDArray[np.int64]:
    """Group embeddings by person: agglomerative clustering, average linkage on the cosine, the closest pair first.

    Average linkage is the mean of the cosines between the members of two clusters. It keeps the meaning of the embedder's
    threshold however large the clusters grow, which the cosine between centroids does not: averaging brings strangers closer.

    Up to BLOCK embeddings take O(N²) memory and close to O(N²) time (4,000 take about a second). More are clustered block by
    block in the order given, then the blocks' clusters with one another: memory is O(BLOCK² + clusters²).

    Args:
        embeddings: (N, D), unit length; a mean of unit vectors may be given as it is, shorter than one.
        same_person_cosine: mean cosine from which two clusters are one person.
        weights: (N,) how many members each embedding stands for; all alike when None.
        apart: pairs of rows that are different people whatever their embeddings say.

    Returns:
        (N,) labels 0, 1, … in the order in which the clusters first appear.
    """
    count = len(embeddings)
    sizes = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    conflicts = np.asarray(apart, np.int64).reshape(-1, 2)
    labels = np.arange(count, dtype=np.int64)
    if count > BLOCK:
        for start in range(0, count, BLOCK):
            block = slice(start, min(start + BLOCK, count))
            within = conflicts[((conflicts >= block.start) & (conflicts < block.stop)).all(axis=1)] - start
            labels[block] = start + _agglomerate(embeddings[block], sizes[block], within, same_person_cosine)
        labels = np.unique(labels, return_inverse=True)[1]
    totals = np.bincount(labels, sizes).astype(np.float64)
    means = np.zeros((len(totals), embeddings.shape[1]))
    np.add.at(means, labels, embeddings * sizes[:, None])
    merged = _agglomerate(means / np.maximum(totals, 1e-12)[:, None], totals, labels[conflicts], same_person_cosine)
    return _in_order_of_appearance(merged[labels])


def _agglomerate(means: NDArray[np.floating], sizes: NDArray[np.float64], apart: NDArray[np.int64], threshold: float) -> NDArray[np.int64]:
    """Labels (not consecutive) after joining the most alike clusters until no pair reaches the threshold; see cluster_embeddings."""
    count = len(means)
    labels = np.arange(count, dtype=np.int64)
    if count < 2:
        return labels
    vectors = means.astype(np.float32)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    cosines[apart[:, 0], apart[:, 1]] = cosines[apart[:, 1], apart[:, 0]] = -np.inf
    sizes = sizes.copy()
    nearest = cosines.argmax(axis=1)
    best = cosines[labels, nearest]
    while True:
        kept = int(best.argmax())
        if best[kept] < threshold:
            return labels
        joined = int(nearest[kept])
        row = (sizes[kept] * cosines[kept] + sizes[joined] * cosines[joined]) / (sizes[kept] + sizes[joined])
        sizes[kept] += sizes[joined]
        labels[labels == joined] = kept
        cosines[kept] = cosines[:, kept] = row
        cosines[kept, kept] = -np.inf
        cosines[joined] = cosines[:, joined] = -np.inf
        stale = np.flatnonzero((nearest == kept) | (nearest == joined))
        stale = np.union1d(stale, (kept, joined))
        nearest[stale] = cosines[stale].argmax(axis=1)
        best[stale] = cosines[stale, nearest[stale]]


def _in_order_of_appearance(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    first, inverse = np.unique(labels, return_index=True, return_inverse=True)[1:]
    ranks = np.empty(len(first), np.int64)
    ranks[np.argsort(first)] = np.arange(len(first))
    return ranks[inverse]
