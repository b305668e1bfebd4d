"""Product quantisation: subvectors, codebooks, and the candidates that are rescored."""

import numpy as np
import pytest

from tastespace.index import QuantisedIndex
from tastespace.index.pq import _codebook, _subvectors
from tests.index.planted import planted


@pytest.mark.parametrize(
    ("dim", "n_parts", "width"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (32, 8, 4), (33, 16, 3), (64, 16, 4)]
)
def test_subvectors_cover_a_vector(dim: int, n_parts: int, width: int) -> None:
    assert _subvectors(dim) == (n_parts, width)
    assert n_parts * width >= dim


def test_few_subvectors_are_their_own_codewords() -> None:
    subvectors = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    codebook = _codebook(subvectors)
    assert codebook.shape == (256, 4)
    np.testing.assert_array_equal(codebook[:100], subvectors)
    assert not _codebook(subvectors[:0]).any()


def test_a_codebook_is_near_its_subvectors() -> None:
    subvectors = np.random.default_rng(0).normal(size=(2000, 2)).astype(np.float32)
    codebook = _codebook(subvectors)
    distance = np.linalg.norm(subvectors[:, None] - codebook[None], axis=2).min(axis=1)
    assert distance.mean() < 0.2


def test_widening_doubles_lists_and_rescored_candidates() -> None:
    index = QuantisedIndex.build(planted(2000), nprobe=5)
    assert (index.settings.nprobe, index.settings.n_rescored) == (5, 64)
    assert index.widen()
    assert (index.settings.nprobe, index.settings.n_rescored) == (10, 128)
