"""SimilarUsers alike: who counts, and for how much."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import tastespace as ts
from tastespace import cold_start
from tastespace.cold_start import AddedItems, ColdItems, SimilarUsers, unit_rows
from tastespace.data.dataset import Dataset, Table
from tastespace.data.histories import Histories


@pytest.fixture
def similar_users() -> SimilarUsers:
    """Ten users of two kinds (even ones like item 0, odd ones item 1, all item 2), and one who liked nothing."""
    features = np.array([[1, 0] if user % 2 == 0 else [0, 1] for user in range(11)], dtype=np.float32)
    lists = [[user % 2, 2] for user in range(10)] + [[0]]
    weights = [[1.0, 3.0]] * 10 + [[-1.0]]
    return SimilarUsers.from_histories(sp.csr_matrix(features), Histories.of(lists, weights), 3)


def test_in_small_data_a_third_of_the_users_counts(similar_users: SimilarUsers) -> None:
    description = np.array([[1, 0]], dtype=np.float32)
    np.testing.assert_allclose(similar_users.count_likes(description), [4, 0, 4])  # four of ten, all of the kind


def test_users_tied_with_the_last_share(similar_users: SimilarUsers, monkeypatch: pytest.MonkeyPatch) -> None:
    description = np.array([[1, 0]], dtype=np.float32)
    monkeypatch.setattr(cold_start, "_ONE_IN", 1)
    assert similar_users.count_likes(description).tolist() == [5, 5, 10]
    monkeypatch.setattr(cold_start, "N_SIMILAR_USERS", 5)
    assert similar_users.count_likes(description).tolist() == [5, 0, 5]
    monkeypatch.setattr(cold_start, "N_SIMILAR_USERS", 2)
    np.testing.assert_allclose(similar_users.count_likes(description), [2, 0, 2])
    monkeypatch.setattr(cold_start, "N_SIMILAR_USERS", 7)
    np.testing.assert_allclose(similar_users.count_likes(description), [5, 2, 7])


def test_nobody_likes_anything_where_there_is_nobody() -> None:
    nobody = SimilarUsers.from_histories(sp.csr_matrix((2, 2), dtype=np.float32), Histories.of([[], []]), 3)
    assert nobody.count_likes(np.ones((1, 2), np.float32)).tolist() == [0, 0, 0]


def test_only_items_without_interactions_are_placed() -> None:
    features = sp.csr_matrix(np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32))
    cold_items = ColdItems.from_features(
        features, np.array([0, 0, 3, 2]), likes=np.array([2, 0, 0, 1])
    )  # item 2 has an interaction and no like
    assert cold_items.indices.tolist() == [1]
    known = np.array([[4, 0], [9, 9], [8, 8], [0, 2]], dtype=np.float32)
    assert cold_items.fill_rows(known).tolist() == [[4, 0], [4, 0], [8, 8], [0, 2]]
    assert known[1].tolist() == [9, 9]
    assert cold_items.fill_scores(known.T.copy()).tolist() == cold_items.fill_rows(known).T.tolist()


@pytest.mark.parametrize(("width", "likes"), [(0, [2, 0]), (1, [0, 0])])
def test_without_attributes_or_likes_nothing_is_placed(width: int, likes: list[int]) -> None:
    assert (
        len(ColdItems.from_features(sp.csr_matrix((2, width), dtype=np.float32), np.array([0]), np.array(likes))) == 0
    )


@pytest.mark.parametrize("name", ["mf", "ease", "popularity"])
def test_held_out_items_are_tested_where_their_attributes_place_them(board: Dataset, name: str) -> None:
    kinds = np.array(["even", "odd"], dtype=object)[np.arange(board.interactions.n_items) % 2]
    told = replace(board, item_table=Table({"kind": kinds}))
    with_kinds, without = (ts.split(data, "new-items") for data in (told, board))
    settings = {"dim": 8, "epochs": 5} if name == "mf" else {}
    found = [
        ts.evaluate(ts.train(name, one, baselines=False, search=False, **settings)).mean("recall@10")
        for one in (with_kinds, without)
    ]
    if name == "popularity":
        assert found[0] >= found[1]
    else:
        assert found[0] > 0.9
        assert found[1] < 0.5


def test_rows_have_length_one_and_zeros_stay() -> None:
    found = unit_rows(sp.csr_matrix(np.array([[3, 4], [0, 0]], dtype=np.float32))).toarray()
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]], rtol=1e-6)


def test_the_most_similar_count_each_for_its_cosine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_start, "N_SIMILAR_ITEMS", 2)
    known = sp.csr_matrix(np.array([[1, 0], [1, 1], [0, 1], [1, 0]], dtype=np.float32))
    new = sp.csr_matrix(np.array([[2, 0], [0, 0]], dtype=np.float32))
    found = AddedItems.from_features(known, new, np.array([4, 9, 7, 0]))
    cosine = 1 / np.sqrt(2)
    weights = np.array([1, cosine, 0, 0]) / (1 + cosine)
    np.testing.assert_allclose(found.weights.toarray(), [weights, [0, 1 / 2, 1 / 2, 0]], rtol=1e-6)
    assert found.replace_in(Histories.of([[4, 2], [5]])).items.tolist()[:2] == [0, 2]
    assert len(found) == 2


def test_weights_are_shares_whatever_the_signs_of_the_features() -> None:
    rng = np.random.default_rng(0)
    known, new = (sp.csr_matrix(rng.normal(size=(n, 4)).astype(np.float32)) for n in (30, 20))
    new[0] = -known[:12].sum(axis=0)
    like = AddedItems.from_features(known, new, np.arange(30)).weights
    assert like.min() >= 0
    np.testing.assert_allclose(np.asarray(like.sum(axis=1)).ravel(), 1, rtol=1e-5)
    assert np.diff(like.indptr).max() <= cold_start.N_SIMILAR_ITEMS
    opposite = AddedItems.from_features(known[:2], sp.csr_matrix(-known[:2].sum(axis=0)), np.array([5, 2]))
    assert opposite.weights.toarray().sum() == pytest.approx(1)
