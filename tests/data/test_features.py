"""Attributes become numbers: what each kind of column says, and what hostile values come to."""

import json
import math
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.dataset import Dataset, Table
from tastespace.data.feature_columns import Column
from tastespace.data.features import Encoder, Features
from tastespace.errors import DataError, OptionError
from tests.build import log


def objects(*cells: Any) -> np.ndarray:
    made = np.empty(len(cells), dtype=object)
    made[:] = cells
    return made


def fitted(name: str, cells: np.ndarray) -> Column:
    (column,) = Encoder.fit(Table({name: cells})).columns
    return column


def test_a_category_is_one_feature_a_value() -> None:
    column = fitted("city", objects("Rome", "Oslo", "Rome", "Oslo", "Oslo", None))
    assert column.kind == "category"
    assert column.names == ["city=Oslo", "city=Rome"]  # the more frequent first
    found, unknown = column.encode(["Oslo", "Rome", "Bonn", None, ""])
    assert found.toarray().tolist() == [[1, 0], [0, 1], [0, 0], [0, 0], [0, 0]]
    assert unknown == ["Bonn"]


def test_labels_share_a_length_of_one() -> None:
    column = fitted("genres", objects(["War", "Drama"], ["Drama"], ["War", "War"], [], None))
    assert column.kind == "labels"
    assert column.names == ["genres=Drama", "genres=War"]
    found, unknown = column.encode([["War", "Drama"], ["War", "War"], ["Opera"], [], None])
    np.testing.assert_allclose(found.toarray(), [[0.5**0.5, 0.5**0.5], [0, 1], [0, 0], [0, 0], [0, 0]])
    assert unknown == ["Opera"]


def test_prose_is_a_bag_of_words() -> None:
    titles = [f"The {word} Returns, again" for word in ("Fox", "Owl")] * 30
    titles += [f"tale number {place}" for place in range(60)]
    column = fitted("title", objects(*titles))
    assert column.kind == "words"
    assert {"title=fox", "title=owl", "title=returns", "title=tale"} <= set(column.names)
    assert "title=7" not in column.names  # held by one row alone
    found, _ = column.encode(["FOX! fox"])
    assert found.sum() == 1


def told(*titles: str) -> Column:
    return fitted("title", objects(*titles, *(f"Filler number {place}" for place in range(60))))


def test_rarer_words_weigh_more_by_the_logarithm() -> None:
    column = told(*["the fox"] * 3, *["the owl"] * 2)
    weights = dict(zip(column.names, column.weights, strict=True))
    n = 65
    for word, count in {"filler": 60, "the": 5, "fox": 3, "owl": 2}.items():
        assert weights[f"title={word}"] == pytest.approx(math.log((1 + n) / (1 + count)))
    found, _ = column.encode(["the owl"])
    the, owl = (found[0, column.names.index(f"title={word}")] for word in ("the", "owl"))
    assert owl / the == pytest.approx(weights["title=owl"] / weights["title=the"])
    assert found.multiply(found).sum() == pytest.approx(1)


def test_words_that_training_never_had_are_known_by_their_trigrams() -> None:
    column = told("A wonderland of snow", "Kung fu warriors", "Kung fu again", "A quiet of snow")
    like = column.encode(["wonderlands", "warrior", "wonderland"])[0]
    alike = (like @ like.T).toarray()
    assert alike[0, 2] > 0.8
    assert alike[0, 1] < 0.4
    assert not any(name.startswith("title=wonder") for name in column.names)
    assert column.encode(["kung"])[0].nnz == 1


def test_models_read_no_buckets() -> None:
    titles = objects(*(f"tale number {place}" for place in range(60)), "A quiet number", "A loud number")
    data = Dataset("tiny", log([(0, place) for place in range(62)]), item_table=Table({"title": titles}))
    assert Features.of(data).items.shape == (62, 2)
    assert Encoder.fit(data.item_table).encode(data.item_table, 62).shape == (62, 2 + 128)


def test_words_in_buckets_that_training_had_nothing_in_are_not_known() -> None:
    found, unknown = Column("title", "words", ("fox",), weights=(1.0, 0.0)).encode(["owl fox", "owl"])
    assert found.toarray().tolist() == [[1, 0], [0, 0]]
    assert unknown == ["owl"]


def test_buckets_are_the_same_in_every_process() -> None:
    column = Column("title", "words", ("fox",), weights=(1.0,) * 9)
    found, _ = column.encode(["owl", "fox"])
    assert sorted(found[0].indices.tolist()) == sorted({1 + zlib.crc32(part) % 8 for part in (b"<ow", b"owl", b"wl>")})
    assert found[1].indices.tolist() == [0]


def test_columns_described_before_there_were_weights_are_read_as_they_were() -> None:
    (column,) = Encoder.from_json([{"name": "t", "kind": "words", "values": ["fox", "owl"], "edges": []}]).columns
    found, unknown = column.encode(["fox owl elk", "elk"])
    np.testing.assert_allclose(found.toarray(), [[0.5**0.5, 0.5**0.5], [0, 0]], rtol=1e-6)
    assert unknown == ["elk"]


def test_prose_without_other_words_has_no_buckets() -> None:
    column = fitted("title", objects(*(f"a{place // 2} b{place // 2}" for place in range(120))))
    assert len(column.weights) == len(column.values)


def test_lists_of_numbers_are_vectors_at_length_1() -> None:
    column = fitted("embedding", objects(np.array([3.0, 4.0], np.float32), [0, 0.5], None, [], (0.0, 0.0), [1e300, 0]))
    assert (column.kind, column.size) == ("vector", 2)
    assert column.names == ["embedding[0]", "embedding[1]"]
    found, unknown = column.encode([[3, 4], [0, 0.5], None, [], (0.0, 0.0), [1e300, 0.0], np.array([1, -1])])
    expected = [[0.6, 0.8], [0, 1], [0, 0], [0, 0], [0, 0], [1, 0], [0.5**0.5, -(0.5**0.5)]]
    np.testing.assert_allclose(found.toarray(), expected, rtol=1e-6)
    assert unknown == []


def test_lists_of_whole_numbers_are_labels() -> None:
    assert fitted("tags", objects([1, 2], [2], np.array([1]))).kind == "labels"


@pytest.mark.parametrize(
    "wrong",
    [[1.0], [1.0, 2.0, 3.0], [1.0, float("nan")], [1.0, float("inf")], ["a", "b"], [[1.0], [2.0]], [1.0, None], "x", 3],
)
def test_what_is_no_vector_of_the_column_is_refused(wrong: Any) -> None:
    with pytest.raises(DataError, match=r"the attribute 'e' holds .*, but a list of 2 finite numbers is expected"):
        Encoder.fit(Table({"e": objects([1.0, 2.0], wrong)}))
    with pytest.raises(OptionError, match=r"feature e is .*, but a list of 2 finite numbers is expected"):
        Encoder((Column("e", "vector", size=2),)).encode_one({"e": wrong})


def test_vectors_beyond_any_encoder_are_refused() -> None:
    with pytest.raises(DataError, match="'e' holds lists of 20,000 numbers, but at most 16,384 are read"):
        Encoder.fit(Table({"e": objects(np.ones(20_000))}))


def test_a_vector_can_be_told() -> None:
    found = Encoder((Column("e", "vector", size=2),)).encode_one({"e": [0, 2.0]})
    assert found.values.tolist() == [[0, 1]]
    assert found.understood


def test_a_number_climbs_from_edge_to_edge() -> None:
    column = Column("age", "number", edges=(10.0, 20.0, 40.0))
    assert column.names == ["age 10 to 20", "age 20 to 40", "age missing"]
    found, _ = column.encode([5, 15, 20, 30, 99, None, float("nan")])
    assert found.toarray().tolist() == [
        [0, 0, 0],
        [0.5, 0, 0],
        [1, 0, 0],
        [1, 0.5, 0],
        [1, 1, 0],
        [0, 0, 1],
        [0, 0, 1],
    ]


@pytest.mark.parametrize("cells", [[0.0, 7e77, 1.5e-230], [-1.7e308, 1.7e308, 0.0], [0.0, 5e-324, 1e-310]])
def test_numbers_as_far_apart_as_floats_go_still_climb(cells: list[float]) -> None:
    column = fitted("n", np.array(cells))
    found, _ = column.encode(cells)
    climbed = np.asarray(found.sum(axis=1)).ravel()[np.argsort(cells)]
    np.testing.assert_allclose(climbed[[0, -1]], [0, len(column.edges) - 1])
    assert (np.diff(climbed) > 0).all()


@pytest.mark.parametrize("cells", [np.arange(1000), np.linspace(0, 1, 7), np.array([1.0, np.nan, 2.0])])
def test_edges_are_quantiles(cells: np.ndarray) -> None:
    column = fitted("n", cells)
    known = cells[np.isfinite(cells)]
    assert column.edges[0] == known.min()
    assert column.edges[-1] == known.max()
    assert len(column.names) <= 9


@pytest.mark.parametrize(
    "cells",
    [
        np.full(4, 7),
        np.full(4, np.nan),
        objects("same", "same", "same"),
        objects(None, None),
        objects(*(f"sku-{place}" for place in range(100))),  # an id a row
        objects(),
    ],
)
def test_columns_that_tell_nothing_are_left_out(cells: np.ndarray) -> None:
    assert Encoder.fit(Table({"it": cells})).columns == ()


def test_an_encoder_without_columns_gives_no_features() -> None:
    assert Encoder().encode(Table(), 3).shape == (3, 0)
    assert Encoder().encode_one({}).values.shape == (1, 0)


def test_a_column_that_a_table_lacks_is_missing() -> None:
    encoder = Encoder((Column("city", "category", ("Oslo",)), Column("age", "number", edges=(1.0, 2.0))))
    assert encoder.encode(Table(), 2).toarray().tolist() == [[0, 0, 1], [0, 0, 1]]
    assert encoder.names == ["city=Oslo", "age 1 to 2", "age missing"]
    assert encoder.width == 3


def test_features_missing_for_some_rows_are_zeros_there() -> None:
    users = Table({"city": objects("Oslo", None, "Rome", "Oslo", "Rome")})
    features = Features.of(Dataset("tiny", log([(place, 0) for place in range(5)]), user_table=users))
    assert features.users.toarray().tolist() == [[1, 0], [0, 0], [0, 1], [1, 0], [0, 1]]
    assert features.items.shape == (1, 0)
    assert features.names == ["city=Oslo", "city=Rome"]


def test_one_question_is_encoded_as_its_row_is() -> None:
    table = Table({"age": np.array([10.0, 20, 30, 40]), "city": objects("Oslo", "Oslo", "Rome", "Rome")})
    encoder = Encoder.fit(table)
    found = encoder.encode_one({"city": "Rome", "age": "30"})
    np.testing.assert_allclose(found.values, encoder.encode(table, 4).toarray()[2:3])
    assert found.unknown == {}
    assert found.understood


def test_the_least_of_a_number_is_understood_and_a_missing_one_is_not() -> None:
    encoder = Encoder.fit(Table({"age": np.array([10.0, 20, 30, 40])}))
    assert [encoder.encode_one({"age": age}).understood for age in (10, -5, 25, None)] == [True, True, True, False]


def test_an_unknown_category_is_zeros_and_told() -> None:
    encoder = Encoder((Column("city", "category", ("Oslo",)), Column("tags", "labels", ("a",))))
    found = encoder.encode_one({"city": "Bonn", "tags": ["a", "z"]})
    assert found.values.tolist() == [[0, 1]]
    assert found.unknown == {"city": ["Bonn"], "tags": ["z"]}
    assert found.understood
    assert not encoder.encode_one({"city": "Bonn"}).understood


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cty": "Oslo"}, r"there is no feature 'cty'; did you mean .*city.*the model knows city, age"),
        ({"age": "old"}, "feature age is 'old', but a number is expected"),
        ({"age": True}, "but a number is expected"),
        ({"age": float("inf")}, "but a number is expected"),
        ({"age": 10**400}, "but a number is expected"),
        ({"age": [1]}, "but a number is expected"),
        ({"city": ["Oslo"]}, "feature city is .* but a text is expected"),
        ({"city": {"x": 1}}, "but a text is expected"),
        ({"tags": [["a"]]}, "but a text or a list of texts is expected"),
    ],
)
def test_questions_of_another_form_are_refused(values: dict[str, Any], message: str) -> None:
    encoder = Encoder(
        (
            Column("city", "category", ("Oslo",)),
            Column("age", "number", edges=(1.0, 2.0)),
            Column("tags", "labels", ("a",)),
        )
    )
    with pytest.raises(OptionError, match=message):
        encoder.encode_one(values)


def test_a_model_without_features_says_so() -> None:
    with pytest.raises(OptionError, match="the model was trained without any"):
        Encoder().encode_one({"age": 3})


texts = st.text(max_size=8)
cells = st.one_of(st.none(), texts, st.floats(), st.integers(-(10**12), 10**12), st.lists(texts, max_size=3))
prose = st.lists(st.one_of(st.none(), st.text(max_size=40)), min_size=60, max_size=90)
vectors = st.lists(st.none() | st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2))


@given(st.one_of(st.lists(cells, max_size=12), prose, vectors))
def test_any_cells_give_finite_features_that_survive_json(held: list[Any]) -> None:
    table = Table({"it": objects(*held)})
    encoder = Encoder.fit(table)
    found = encoder.encode(table, len(held))
    assert found.shape == (len(held), encoder.width)
    assert np.isfinite(found.data).all()
    assert bool((np.abs(found.toarray()) <= 1 + 1e-6).all())
    again = Encoder.from_json(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder
    assert (again.encode(table, len(held)) != found).nnz == 0


@pytest.mark.parametrize(
    "told",
    [
        None,
        3,
        [1],
        [{}],
        [{"name": "a", "kind": "pickle", "values": [], "edges": []}],
        [{"name": 1, "kind": "number", "values": [], "edges": []}],
        [{"name": "a", "kind": "number", "values": [], "edges": [2, 1]}],
        [{"name": "a", "kind": "number", "values": [], "edges": ["1", "2"]}],
        [{"name": "a", "kind": "number", "values": [], "edges": [float("nan")]}],
        [{"name": "a", "kind": "category", "values": ["x", "x"], "edges": []}],
        [{"name": "a", "kind": "category", "values": [["x"]], "edges": []}],
        [{"name": "a", "kind": "category", "values": 5, "edges": []}],
        [{"name": "a", "kind": "category", "values": ["x"], "edges": [], "weights": [1.0]}],
        [{"name": "a", "kind": "words", "values": ["x"], "edges": [], "weights": [-1.0]}],
        [{"name": "a", "kind": "words", "values": ["x"], "edges": [], "weights": [float("nan")]}],
        [{"name": "a", "kind": "words", "values": ["x"], "edges": [], "weights": [1e300]}],
        [{"name": "a", "kind": "words", "values": ["x"], "edges": [], "weights": ["1"]}],
        [{"name": "a", "kind": "words", "values": ["x", "y"], "edges": [], "weights": [1.0]}],
        [{"name": "a", "kind": "words", "values": ["x"], "edges": [], "weights": [1.0] * 20_000}],
        [{"name": "a", "kind": "words", "values": ["x"], "edges": [], "size": 3}],
        [{"name": "a", "kind": "vector", "values": [], "edges": []}],
        [{"name": "a", "kind": "vector", "values": [], "edges": [], "size": 10**9}],
        [{"name": "a", "kind": "vector", "values": [], "edges": [], "size": 2.0}],
        [{"name": "a", "kind": "vector", "values": [], "edges": [], "size": "2"}],
        [{"name": "a", "kind": "vector", "values": ["x"], "edges": [], "size": 2}],
    ],
)
def test_a_damaged_description_is_refused(told: Any) -> None:
    with pytest.raises(DataError, match="description of"):
        Encoder.from_json(told)
