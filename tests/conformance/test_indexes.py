"""What every index promises: always k where k exist, filters, ties, adding, the disk; approximate ones find enough."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastespace.errors import BundleError, OptionError
from tastespace.index import ExactIndex, Index, InvertedIndex, build_index

KINDS: list[type[Index]] = [ExactIndex, InvertedIndex]
every = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
modest = settings(max_examples=60, deadline=None)


def planted(n: int, dim: int = 16, seed: int = 0) -> np.ndarray:
    """A mixture of directions, with lengths that follow a power law."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, n // 50), dim))
    vectors = centres[rng.integers(0, len(centres), n)] + 0.5 * rng.normal(size=(n, dim))
    lengths = (1 - rng.random(n)) ** (-1 / 3)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) * lengths[:, None]).astype(np.float32)


def slowly(vectors: np.ndarray, query: np.ndarray, left: set[int]) -> list[int]:
    """The places that are left, best first."""
    return sorted(left, key=lambda place: (-float(np.float32(vectors[place] @ query)), place))


@every
@modest
@given(st.data())
def test_always_k_where_k_exist_and_none_that_is_hidden(kind: type[Index], data: st.DataObject) -> None:
    n = data.draw(st.sampled_from([1, 2, 40, 700]))
    vectors, queries = planted(n), planted(3, seed=1)
    index = kind.build(vectors)
    k = data.draw(st.sampled_from([1, 2, 10, n]))
    share = data.draw(st.sampled_from([None, 0.0, 0.001, 0.01, 0.1, 0.3, 1.0]))
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    allow = None if share is None else rng.random(n) < share
    exclude = [rng.integers(0, n, data.draw(st.sampled_from([0, 1, 20, 2 * n]))) for _ in queries]
    found = index.search(queries, k, exclude=exclude, allow=allow)
    for row, query in enumerate(queries):
        left = set(range(n) if allow is None else np.flatnonzero(allow).tolist()) - set(exclude[row].tolist())
        places = [place for place in found.indices[row].tolist() if place >= 0]
        assert len(places) == len(set(places)) == min(k, len(left))
        assert set(places) <= left
        scores = found.scores[row][: len(places)]
        np.testing.assert_allclose(scores, vectors[places] @ query, rtol=1e-4, atol=1e-5)
        assert list(scores) == sorted(scores, reverse=True)
        assert (found.scores[row][len(places) :] == -np.inf).all()
        if kind is ExactIndex or (allow is not None and allow.sum() <= 0.02 * n):
            truth = np.sort(vectors[slowly(vectors, query, left)[:k]] @ query)[::-1]
            np.testing.assert_allclose(scores, truth, rtol=1e-4, atol=1e-5)


@every
def test_enough_is_found(kind: type[Index]) -> None:
    vectors, queries = planted(5000), planted(100, seed=1)
    index, figures = build_index(vectors, queries, kind=kind.kind, recall=0.98)
    assert type(index) is kind
    assert (figures.kind, figures.n, figures.k, figures.queries) == (kind.kind, 5000, 10, 100)
    truth = ExactIndex.build(vectors).search(queries, 10).indices
    found = index.search(queries, 10).indices
    recall = np.mean([len(np.intersect1d(one, other)) / 10 for one, other in zip(found, truth, strict=True)])
    assert recall == pytest.approx(figures.recall)
    assert recall >= 0.98
    assert figures.bytes == index.nbytes
    assert 0 < figures.p50_ms <= figures.p95_ms


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3, 0.7])
def test_enough_is_found_among_what_is_allowed(share: float) -> None:
    vectors, queries = planted(20_000), planted(100, seed=1)
    index, _ = build_index(vectors, queries, kind="ivf", recall=0.98)
    allow = np.random.default_rng(2).random(len(vectors)) < share
    truth = ExactIndex.build(vectors).search(queries, 10, allow=allow).indices
    found = index.search(queries, 10, allow=allow).indices
    assert np.mean([np.isin(one, other).mean() for one, other in zip(truth, found, strict=True)]) >= 0.95


@every
def test_seen_items_are_hidden_and_their_places_filled(kind: type[Index]) -> None:
    vectors, queries = planted(5000), planted(20, seed=1)
    index = kind.build(vectors)
    seen = [row[:200] for row in ExactIndex.build(vectors).search(queries, 220).indices]
    found = index.search(queries, 10, exclude=seen)
    for row, hidden in enumerate(seen):
        assert not set(hidden.tolist()) & set(found.indices[row].tolist())
        assert (found.indices[row] >= 0).all()


@every
def test_equal_scores_go_to_the_lower_place(kind: type[Index]) -> None:
    found = kind.build(np.ones((300, 4), dtype=np.float32)).search(np.ones((1, 4), np.float32), 300)
    assert found.indices[0].tolist() == list(range(300))


@every
def test_what_is_added_is_found_at_once_and_goes_on_from_n(kind: type[Index]) -> None:
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
@pytest.mark.parametrize("n", [0, 1, 2, 3000])
def test_the_disk_keeps_an_index(kind: type[Index], n: int, tmp_path: Path) -> None:
    vectors, queries = planted(n), planted(7, seed=1)
    index = kind.build(vectors)
    index.save(tmp_path)
    again = kind.load(tmp_path, vectors)
    one, other = index.search(queries, 5), again.search(queries, 5)
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.scores, other.scores)
    assert len(again) == n
    assert again.nbytes == index.nbytes


@every
def test_wrong_questions_are_refused(kind: type[Index]) -> None:
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


def _grown(tables: dict[str, np.ndarray]) -> None:
    tables["sizes"] = tables["sizes"] + 1


def _negative(tables: dict[str, np.ndarray]) -> None:
    tables["sizes"][0], tables["sizes"][1] = -5, tables["sizes"][:2].sum() + 5


def _far(tables: dict[str, np.ndarray]) -> None:
    tables["head"][0] = 10**12


def _other(tables: dict[str, np.ndarray]) -> None:
    tables["promises"] = tables["promises"][:, 1:].copy()


def _wide(tables: dict[str, np.ndarray]) -> None:
    tables["sizes"] = tables["sizes"].astype(np.float64)


def _still(tables: dict[str, np.ndarray]) -> None:
    tables["reach"][0] = 0


def _lost(tables: dict[str, np.ndarray]) -> None:
    del tables["promises"]


def _overflowing(tables: dict[str, np.ndarray]) -> None:
    tables["sizes"] = np.array([2**62] * 4 + [tables["sizes"].sum(), *[0] * (len(tables["sizes"]) - 5)])


def _empty(tables: dict[str, np.ndarray]) -> None:
    tables["sizes"], tables["promises"] = tables["sizes"][:0], tables["promises"][:0]
    tables["head"] = np.arange(1000)


def _endless(tables: dict[str, np.ndarray]) -> None:
    tables["promises"] = np.full_like(tables["promises"], np.nan)


@pytest.mark.parametrize(
    "spoil", [_grown, _negative, _far, _other, _wide, _still, _lost, _overflowing, _empty, _endless]
)
def test_tables_that_lead_astray_are_refused(spoil: Callable[[dict[str, np.ndarray]], None], tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    vectors = planted(1000)
    InvertedIndex.build(vectors).save(tmp_path)
    tables = load_file(tmp_path / "lists.safetensors")
    spoil(tables)
    save_file(tables, tmp_path / "lists.safetensors")
    with pytest.raises(BundleError, match="is not an index of"):
        InvertedIndex.load(tmp_path, vectors)


@pytest.mark.parametrize("name", ["lists.safetensors", "lists.bin"])
@pytest.mark.parametrize("content", [b"", b"not an index", b"\xff" * 64])
def test_any_bytes_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    vectors = planted(1000)
    InvertedIndex.build(vectors).save(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match="is not an index of"):
        InvertedIndex.load(tmp_path, vectors)
    (tmp_path / name).unlink()
    with pytest.raises(BundleError, match="is not an index of lists"):
        InvertedIndex.load(tmp_path, vectors)


def test_another_catalogue_is_refused(tmp_path: Path) -> None:
    InvertedIndex.build(planted(1000)).save(tmp_path)
    for other in (planted(1001), planted(1000, dim=8)):
        with pytest.raises(BundleError, match="is not an index of these"):
            InvertedIndex.load(tmp_path, other)


def test_lists_that_name_strange_places_never_answer_with_them(tmp_path: Path) -> None:
    vectors = planted(1000)
    InvertedIndex.build(vectors).save(tmp_path)
    held = np.fromfile(tmp_path / "lists.bin", dtype=np.uint8)
    held.view(np.int64)[:] = 2**40
    held.tofile(tmp_path / "lists.bin")
    with pytest.raises(BundleError, match="name vectors that are not there; build it again"):
        InvertedIndex.load(tmp_path, vectors).search(planted(3, seed=1), 5)


def test_queries_for_nothing_and_equal_vectors_do_not_stand_in_the_way() -> None:
    vectors = np.repeat(planted(300), 10, axis=0)
    queries = np.concatenate([planted(20, seed=1), np.zeros((80, 16), np.float32)])
    index, figures = build_index(vectors, queries, kind="ivf", recall=1.0)
    assert (index.kind, figures.queries) == ("ivf", 20)
    nothing, none = build_index(vectors, queries[20:], kind="ivf")
    assert (none.recall, none.queries, len(nothing)) == (1.0, 0, 3000)


def test_an_unknown_index_and_an_impossible_recall_are_refused() -> None:
    vectors, queries = planted(1000), planted(50, seed=1)
    for wrong in ("hnws", "IVF!"):
        with pytest.raises(OptionError, match="there is no index"):
            build_index(vectors, queries, kind=wrong)
    for recall in (0, 1.01):
        with pytest.raises(OptionError, match="lies above 0 and up to 1"):
            build_index(vectors, queries, recall=recall)


def test_the_kind_follows_from_the_number_of_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    from tastespace.index import build

    vectors, queries = planted(600), planted(5, seed=1)
    assert build_index(vectors, queries)[0].kind == "exact"
    monkeypatch.setattr(build, "EXACT_UP_TO", 500)
    assert build_index(vectors, queries)[0].kind == "ivf"
