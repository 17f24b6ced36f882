"""The clustering against scipy's average linkage, and against people whose truth is drawn."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from pipeline import clustering
from pipeline.clustering import cluster_embeddings
from tests.pipeline.drawn_observations import face_vector, noisy


def people(counts: list[int], cosine: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    truth = generator.permutation(np.repeat(np.arange(len(counts)), counts))
    return np.stack([noisy(face_vector(person), cosine, generator) for person in truth]), truth


def same_partition(first: NDArray[np.int64], second: NDArray[np.int64]) -> bool:
    return bool(np.array_equal(first[:, None] == first, second[:, None] == second))


@pytest.mark.parametrize("threshold", [0.2, 0.36, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_scipys_average_linkage(threshold: float, seed: int) -> None:
    embeddings, _ = people([20, 15, 10, 5, 5, 1, 1], 0.65, seed)
    expected = fcluster(linkage(embeddings, "average", metric="cosine"), 1 - threshold, "distance")
    assert same_partition(cluster_embeddings(embeddings, threshold), expected)


def test_people_are_found_again() -> None:
    embeddings, truth = people([30, 20, 10, 4], 0.8)
    labels = cluster_embeddings(embeddings, 0.36)
    assert same_partition(labels, truth)
    assert list(dict.fromkeys(labels.tolist())) == [0, 1, 2, 3]


def test_tracks_that_exclude_each_other_stay_apart_also_through_a_third() -> None:
    embeddings = np.stack([face_vector(0)] * 3)
    labels = cluster_embeddings(embeddings, 0.36, apart=[(0, 1)])
    assert labels[0] != labels[1]
    assert labels[2] in labels[:2]


def test_a_weight_counts_like_as_many_copies() -> None:
    embeddings, _ = people([6, 5, 4], 0.6, seed=1)
    counts = np.array([1, 9, 2] * 5)
    weighted = cluster_embeddings(embeddings, 0.36, weights=counts.astype(np.float64))
    copied = np.repeat(np.arange(15), counts)
    assert same_partition(weighted[copied], cluster_embeddings(embeddings[copied], 0.36))
    assert not same_partition(weighted, cluster_embeddings(embeddings, 0.36)), "the example must be one where weights matter"


def test_blocks_give_what_one_block_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, truth = people([60, 50, 40, 30], 0.8)
    apart = [(0, int(np.flatnonzero(truth == truth[0])[-1]))]
    whole = cluster_embeddings(embeddings, 0.36, apart=apart)
    monkeypatch.setattr(clustering, "BLOCK", 50)
    assert same_partition(cluster_embeddings(embeddings, 0.36), truth)
    in_blocks = cluster_embeddings(embeddings, 0.36, apart=apart)
    assert in_blocks[apart[0][0]] != in_blocks[apart[0][1]]
    assert in_blocks.max() == whole.max() == 4


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_and_one(count: int) -> None:
    assert cluster_embeddings(np.ones((count, 4), np.float32), 0.36).tolist() == [0] * count
