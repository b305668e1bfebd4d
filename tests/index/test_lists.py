"""Assignment of vectors to lists by direction and norm."""

import numpy as np

from tastespace.index.lists import _cut_by_norm, assign, pad
from tests.index.planted import planted


def test_every_vector_is_of_largest_norm_or_in_one_list() -> None:
    vectors = planted(1000)
    assignment = assign(vectors, None)
    assert sorted([*assignment.largest_norm, *assignment.rest]) == list(range(1000))
    assert len(assignment.largest_norm) == 20
    norms = np.linalg.norm(vectors, axis=1)
    assert norms[assignment.largest_norm].min() >= norms[assignment.rest].max()
    assert len(assignment.list_of) == len(assignment.rest)


def test_the_norm_of_a_centroid_is_the_largest_in_its_list() -> None:
    vectors = planted(1000)
    assignment = assign(vectors, 5)
    norms = np.linalg.norm(vectors[assignment.rest], axis=1)
    for row, centroid in enumerate(assignment.centroids):
        in_list = norms[assignment.list_of == row]
        np.testing.assert_allclose(np.linalg.norm(centroid), in_list.max(initial=0), rtol=1e-5)


def test_a_cluster_is_cut_at_eight_and_twenty_five_percent() -> None:
    cluster_of = np.repeat([0, 1], 100)
    norms = np.concatenate([np.arange(100), np.arange(100, 0, -1)]).astype(np.float32)
    list_of = _cut_by_norm(cluster_of, norms, 2)
    assert np.bincount(list_of).tolist() == [8, 17, 75, 8, 17, 75]
    assert (list_of[92:100] == 0).all()
    assert (list_of[100:108] == 3).all()


def test_no_and_few_vectors_can_be_assigned() -> None:
    for n in (0, 1, 2):
        assignment = assign(planted(n), None)
        assert (len(assignment.rest), len(assignment.largest_norm)) == (n, 0)
        assert len(assignment.centroids) == 3


def test_padding_adds_zeros() -> None:
    assert pad(np.ones((2, 3), np.float32), 5).tolist() == [[1, 1, 1, 0, 0]] * 2
    assert pad(np.ones((0, 3), np.float32), 5).shape == (0, 5)
