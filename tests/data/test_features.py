"""Attributes become numbers: what each kind of column says, and what hostile values come to."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.dataset import Dataset, Table
from tastespace.data.features import Column, Encoder, Features
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


@given(st.lists(cells, max_size=12))
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
    ],
)
def test_a_damaged_description_is_refused(told: Any) -> None:
    with pytest.raises(DataError, match="description of"):
        Encoder.from_json(told)
