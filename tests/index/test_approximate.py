"""Parts of an approximate search: the best of a block of vectors, and the selector of allowed ones."""

import numpy as np
import pytest

from tastespace.index.approximate import concatenated, id_selector, top_products


@pytest.mark.parametrize("n", [1, 3, 10, 50])
@pytest.mark.parametrize("share", [None, 0.0, 0.4, 1.0])
def test_the_best_products_are_those_of_brute_force(n: int, share: float | None) -> None:
    rng = np.random.default_rng(0)
    vectors, queries = rng.normal(size=(10, 4)).astype(np.float32), rng.normal(size=(3, 4)).astype(np.float32)
    indices = np.arange(100, 110)
    allow = None if share is None else rng.random(110) < share
    scores, found = top_products(queries, vectors, indices, n, allow)
    allowed = indices if allow is None else indices[allow[indices]]
    for row, query in enumerate(queries):
        best = sorted(allowed, key=lambda index: -float(vectors[index - 100] @ query))[:n]
        assert sorted(found[row]) == sorted(best)
        np.testing.assert_allclose(scores[row], vectors[found[row] - 100] @ query, rtol=1e-5)


def test_candidates_of_several_searches_are_concatenated() -> None:
    one = (np.ones((2, 3), np.float32), np.arange(6).reshape(2, 3))
    other = (np.zeros((2, 1), np.float32), np.array([[8], [9]]))
    scores, indices = concatenated([one, other])
    assert scores.tolist() == [[1, 1, 1, 0]] * 2
    assert indices.tolist() == [[0, 1, 2, 8], [3, 4, 5, 9]]


def test_the_selector_holds_what_is_allowed_and_nothing_out_of_range() -> None:
    assert id_selector(None) is None
    selector = id_selector(np.arange(20) % 3 == 0)
    assert [index for index in range(100) if selector.is_member(index)] == [0, 3, 6, 9, 12, 15, 18]
