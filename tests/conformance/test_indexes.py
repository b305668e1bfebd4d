"""Every index: k results where k exist, filters, ties, adding, saving; approximate ones reach their recall."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastespace.errors import BundleError, OptionError
from tastespace.index import ExactIndex, Index, InvertedIndex, QuantisedIndex, build_index
from tastespace.index.files import FILES
from tests.build import examples
from tests.index.planted import planted

KINDS: list[type[Index]] = [ExactIndex, InvertedIndex, QuantisedIndex]
APPROXIMATE: list[type[Index]] = [kind for kind in KINDS if kind is not ExactIndex]
WITH_LISTS: list[type[Index]] = [InvertedIndex, QuantisedIndex]
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
approximate = pytest.mark.parametrize("kind", APPROXIMATE, ids=lambda kind: kind.kind)
with_lists = pytest.mark.parametrize("kind", WITH_LISTS, ids=lambda kind: kind.kind)
few_examples = settings(max_examples=examples(60), deadline=None)


def brute_force(vectors: np.ndarray, query: np.ndarray, left: set[int]) -> list[int]:
    """The indices that are left, best first."""
    return sorted(left, key=lambda item: (-float(np.float32(vectors[item] @ query)), item))


@every
@few_examples
@given(st.data())
def test_k_results_where_k_exist_and_none_that_is_hidden(kind: type[Index], data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([1, 2, 40, 700]))
    vectors, queries = planted(n), planted(3, seed=1)
    after = data.draw(st.sampled_from([0, 0, 1, n // 2, n]))
    index = kind.build(vectors[: n - after])
    if after:
        index.add(vectors[n - after :])
    assert (len(index), index.n_unindexed) == (n, 0 if kind is ExactIndex else after)
    k = data.draw(st.sampled_from([1, 2, 10, n]))
    share = data.draw(st.sampled_from([None, 0.0, 0.001, 0.01, 0.1, 0.3, 1.0]))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    allow = None if share is None else rng.random(n) < share
    exclude = [rng.integers(0, n, data.draw(st.sampled_from([0, 1, 20, 2 * n]))) for _ in queries]
    found = index.search(queries, k, exclude=exclude, allow=allow)
    for row, query in enumerate(queries):
        left = set(range(n) if allow is None else np.flatnonzero(allow).tolist()) - set(exclude[row].tolist())
        indices = [item for item in found.indices[row].tolist() if item >= 0]
        assert len(indices) == len(set(indices)) == min(k, len(left))
        assert set(indices) <= left
        scores = found.scores[row][: len(indices)]
        np.testing.assert_allclose(scores, vectors[indices] @ query, rtol=1e-4, atol=1e-5)
        assert list(scores) == sorted(scores, reverse=True)
        assert (found.scores[row][len(indices) :] == -np.inf).all()
        if kind is ExactIndex or (allow is not None and allow.sum() <= 0.02 * n):
            truth = np.sort(vectors[brute_force(vectors, query, left)[:k]] @ query)[::-1]
            np.testing.assert_allclose(scores, truth, rtol=1e-4, atol=1e-5)


@every
def test_recall_is_reached(kind: type[Index]) -> None:
    vectors, queries = planted(5000), planted(100, seed=1)
    index, report = build_index(vectors, queries, kind=kind.kind, recall=0.98)
    assert type(index) is kind
    assert (report.kind, report.n, report.k, report.queries) == (kind.kind, 5000, 10, 100)
    truth = ExactIndex.build(vectors).search(queries, 10).indices
    found = index.search(queries, 10).indices
    recall = np.mean([len(np.intersect1d(row, best)) / 10 for row, best in zip(found, truth, strict=True)])
    assert recall == pytest.approx(report.recall)
    assert recall >= 0.98
    assert report.bytes == index.nbytes
    assert 0 < report.p50_ms <= report.p95_ms


@approximate
def test_recall_holds_under_an_allow_list(kind: type[Index]) -> None:
    vectors, queries = planted(20_000), planted(100, seed=1)
    index, _ = build_index(vectors, queries, kind=kind.kind, recall=0.98)
    for share in (0.03, 0.1, 0.3, 0.7):
        allow = np.random.default_rng(2).random(len(vectors)) < share
        truth = ExactIndex.build(vectors).search(queries, 10, allow=allow).indices
        found = index.search(queries, 10, allow=allow).indices
        assert np.mean([np.isin(best, row).mean() for best, row in zip(truth, found, strict=True)]) >= 0.95


@approximate
@pytest.mark.parametrize("dim", [1, 3, 33])
def test_any_width_can_be_indexed(kind: type[Index], dim: int, tmp_path: Path) -> None:
    vectors, queries = planted(2000, dim), planted(50, dim, seed=1)
    index, report = build_index(vectors, queries, kind=kind.kind)
    assert report.recall >= 0.95
    index.save(tmp_path)
    np.testing.assert_array_equal(
        kind.load(tmp_path, vectors).search(queries, 10).indices, index.search(queries, 10).indices
    )


def test_codes_take_a_tenth_of_the_bytes() -> None:
    vectors = planted(20_000, dim=64)
    whole, codes = InvertedIndex.build(vectors), QuantisedIndex.build(vectors)
    assert whole.nbytes > 264 * 0.98 * len(vectors)
    tables = 4 * (256 * 64 + 64 * (codes.settings.n_lists or 0))  # codebooks and centroids
    assert 24 * 0.98 * len(vectors) < codes.nbytes - tables < 31 * len(vectors)  # with the vectors of largest norm


@approximate
def test_a_wider_search_finds_no_less(kind: type[Index]) -> None:
    vectors, queries = planted(3000), planted(50, seed=1)
    index = kind.build(vectors)
    truth = ExactIndex.build(vectors).search(queries, 10).indices
    found = [np.isin(truth, index.search(queries, 10).indices).mean()]
    while index.widen():
        found.append(
            np.mean([np.isin(*rows).mean() for rows in zip(truth, index.search(queries, 10).indices, strict=True)])
        )
    assert len(found) >= 2
    assert found[-1] > 0.99


@every
def test_excluded_items_are_replaced_by_others(kind: type[Index]) -> None:
    vectors, queries = planted(5000), planted(20, seed=1)
    index = kind.build(vectors)
    seen = [row[:200] for row in ExactIndex.build(vectors).search(queries, 220).indices]
    found = index.search(queries, 10, exclude=seen)
    for row, hidden in enumerate(seen):
        assert not set(hidden.tolist()) & set(found.indices[row].tolist())
        assert (found.indices[row] >= 0).all()


@every
def test_equal_scores_rank_by_index(kind: type[Index]) -> None:
    found = kind.build(np.ones((300, 4), dtype=np.float32)).search(np.ones((1, 4), np.float32), 300)
    assert found.indices[0].tolist() == list(range(300))


@every
def test_added_vectors_are_found_at_once(kind: type[Index]) -> None:
    vectors = planted(500)
    index = kind.build(vectors)
    index.add(np.full((2, 16), 9, dtype=np.float32))
    index.add(np.full((1, 16), -9, dtype=np.float32))
    assert len(index) == 503
    queries = np.stack([np.ones(16), -np.ones(16)]).astype(np.float32)
    assert index.search(queries, 2).indices[:, 0].tolist() == [500, 502]
    assert index.search(queries[:1], 2).indices.tolist() == [[500, 501]]
    assert index.search(queries[:1], 1, exclude=[np.array([500])]).indices.tolist() == [[501]]
    assert index.search(queries[:1], 2, allow=np.arange(503) == 502).indices.tolist() == [[502, -1]]
    assert index.search(queries[:1], 503).indices[0, -1] == 502


@every
@pytest.mark.parametrize("after", [0, 1, 200])
@pytest.mark.parametrize("n", [0, 1, 2, 3000])
def test_saved_and_loaded_indexes_give_equal_results(kind: type[Index], n: int, after: int, tmp_path: Path) -> None:
    vectors, queries = planted(n + after), planted(7, seed=1)
    index = kind.build(vectors[:n])
    index.add(vectors[n:])
    index.widen()
    index.save(tmp_path)
    again = kind.load(tmp_path, vectors)
    (tmp_path / "again").mkdir()
    again.save(tmp_path / "again")
    for found in (again, kind.load(tmp_path / "again", vectors)):
        one, other = index.search(queries, 5), found.search(queries, 5)
        np.testing.assert_array_equal(one.indices, other.indices)
        np.testing.assert_array_equal(one.scores, other.scores)
        assert (len(found), found.n_unindexed, found.settings) == (n + after, index.n_unindexed, index.settings)
        assert found.nbytes == index.nbytes


@approximate
def test_unindexed_vectors_are_never_missed(kind: type[Index], tmp_path: Path) -> None:
    vectors, queries = planted(3000), planted(30, seed=1)
    kind.build(vectors[:2000]).save(tmp_path)
    index = kind.load(tmp_path, vectors)
    truth = ExactIndex.build(vectors).search(queries, 10).indices
    found = index.search(queries, 10).indices
    for wanted, there in zip(truth, found, strict=True):
        assert set(wanted[wanted >= 2000]) <= set(there)


@every
def test_invalid_searches_are_refused(kind: type[Index]) -> None:
    index = kind.build(planted(100))
    with pytest.raises(OptionError, match=r"vectors \(N, D\) are expected, not an array of 1 dimensions"):
        kind.build(np.ones(3, np.float32))
    for wrong in (np.ones((1, 3), np.float32), np.ones(16, np.float32)):
        with pytest.raises(OptionError, match="vectors"):
            index.add(wrong)
        with pytest.raises(OptionError, match="queries of width 16 are expected, not shape"):
            index.search(wrong, 1)
    with pytest.raises(OptionError, match="k is 0, but at least 1 is expected"):
        index.search(np.ones((1, 16), np.float32), 0)


def _larger_lists(tables: dict[str, np.ndarray]) -> None:
    tables["list_sizes"] = tables["list_sizes"] + 1


def _negative_size(tables: dict[str, np.ndarray]) -> None:
    tables["list_sizes"][0], tables["list_sizes"][1] = -5, tables["list_sizes"][:2].sum() + 5


def _far_index(tables: dict[str, np.ndarray]) -> None:
    tables["largest_norm"][0] = 10**12


def _unindexed_index(tables: dict[str, np.ndarray]) -> None:
    tables["largest_norm"][0] = 1000  # the first that came after


def _narrow_centroids(tables: dict[str, np.ndarray]) -> None:
    tables["centroids"] = tables["centroids"][:, 1:].copy()


def _float_sizes(tables: dict[str, np.ndarray]) -> None:
    tables["list_sizes"] = tables["list_sizes"].astype(np.float64)


def _zero_nprobe(tables: dict[str, np.ndarray]) -> None:
    tables["nprobe"][0] = 0


def _no_nprobe(tables: dict[str, np.ndarray]) -> None:
    del tables["nprobe"]


def _overflowing_sizes(tables: dict[str, np.ndarray]) -> None:
    tables["list_sizes"] = np.array([2**62] * 4 + [tables["list_sizes"].sum(), *[0] * (len(tables["list_sizes"]) - 5)])


def _no_lists(tables: dict[str, np.ndarray]) -> None:
    tables["list_sizes"], tables["centroids"] = tables["list_sizes"][:0], tables["centroids"][:0]
    tables["largest_norm"] = np.arange(1000)


def _nan_centroids(tables: dict[str, np.ndarray]) -> None:
    tables["centroids"] = np.full_like(tables["centroids"], np.nan)


def _few_codewords(tables: dict[str, np.ndarray]) -> None:
    tables["codebooks"] = tables["codebooks"][:, 1:].copy()


def _no_codebooks(tables: dict[str, np.ndarray]) -> None:
    del tables["codebooks"]


def _float64_codebooks(tables: dict[str, np.ndarray]) -> None:
    tables["codebooks"] = tables["codebooks"].astype(np.float64)


def _infinite_codeword(tables: dict[str, np.ndarray]) -> None:
    tables["codebooks"][0, 0, 0] = np.inf


def _negative_rescored(tables: dict[str, np.ndarray]) -> None:
    tables["n_rescored"][0] = -1


def _unbounded_rescored(tables: dict[str, np.ndarray]) -> None:
    tables["n_rescored"][0] = 2**62


INVALID_TABLES = [
    _larger_lists,
    _negative_size,
    _far_index,
    _unindexed_index,
    _narrow_centroids,
    _float_sizes,
    _zero_nprobe,
    _no_nprobe,
    _overflowing_sizes,
    _no_lists,
]
INVALID_CODE_TABLES = [
    _few_codewords,
    _no_codebooks,
    _float64_codebooks,
    _infinite_codeword,
    _negative_rescored,
    _unbounded_rescored,
]


INVALID = [
    *((kind, invalidate) for kind in WITH_LISTS for invalidate in [*INVALID_TABLES, _nan_centroids]),
    *((QuantisedIndex, invalidate) for invalidate in INVALID_CODE_TABLES),
]


@pytest.mark.parametrize(("kind", "invalidate"), INVALID)
def test_invalid_tables_are_refused(
    kind: type[Index], invalidate: Callable[[dict[str, np.ndarray]], None], tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    vectors = planted(1010)  # the last ten come after
    kind.build(vectors[:1000]).save(tmp_path)
    kind.load(tmp_path, vectors)
    file = tmp_path / FILES[kind.kind][0]
    tables = load_file(file)
    invalidate(tables)
    save_file(tables, file)
    with pytest.raises(BundleError, match="is not an index of these"):
        kind.load(tmp_path, vectors)


@approximate
@pytest.mark.parametrize("content", [b"", b"not an index", b"\xff" * 64])
def test_any_bytes_are_refused(kind: type[Index], content: bytes, tmp_path: Path) -> None:
    vectors = planted(1000)
    for name in FILES[kind.kind]:
        kind.build(vectors).save(tmp_path)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BundleError, match="is not an index of"):
            kind.load(tmp_path, vectors)
        (tmp_path / name).unlink()
        with pytest.raises(BundleError, match=r"is not an index of lists"):
            kind.load(tmp_path, vectors)


@approximate
def test_a_table_that_is_missing_is_refused(kind: type[Index], tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    vectors = planted(1000)
    kind.build(vectors).save(tmp_path)
    file = tmp_path / FILES[kind.kind][0]
    tables = load_file(file)
    for name in tables:
        save_file({other: table for other, table in tables.items() if other != name}, file)
        with pytest.raises(BundleError, match="is not an index of"):
            kind.load(tmp_path, vectors)


@approximate
def test_another_catalogue_is_refused(kind: type[Index], tmp_path: Path) -> None:
    kind.build(planted(1000)).save(tmp_path)
    with pytest.raises(BundleError, match="is not an index of these 999"):
        kind.load(tmp_path, planted(999))


@with_lists
def test_lists_of_another_width_are_refused(kind: type[Index], tmp_path: Path) -> None:
    kind.build(planted(1000)).save(tmp_path)
    with pytest.raises(BundleError, match="is not an index of these"):
        kind.load(tmp_path, planted(1000, dim=8))


def _with_every_index(kind: type[Index], item: int, folder: Path) -> Index:
    """An index of 1000 and 10 vectors, in whose lists any item is this one."""
    vectors = planted(1010)
    kind.build(vectors[:1000]).save(folder)
    held = np.fromfile(folder / "lists.bin", dtype=np.uint8)
    held.view(np.int64)[:] = item
    held.tofile(folder / "lists.bin")
    return kind.load(folder, vectors)


@with_lists
@pytest.mark.parametrize("item", [2**40, 1000])
def test_indices_out_of_range_are_refused(kind: type[Index], item: int, tmp_path: Path) -> None:
    index = _with_every_index(kind, item, tmp_path)
    with pytest.raises(BundleError, match="name vectors that do not exist; build it again"):
        index.search(planted(3, seed=1), 5)


@with_lists
@pytest.mark.parametrize("item", [2**40, 1000, -(2**40)])
def test_indices_out_of_range_are_not_allowed(kind: type[Index], item: int, tmp_path: Path) -> None:
    found = _with_every_index(kind, item, tmp_path).search(planted(3, seed=1), 5, allow=np.ones(1010, bool)).indices
    assert ((found >= 0) & (found < 1010)).all()
