import numpy as np
import pytest

from tastespace.data.feature_columns import Column, check_value, column_from_json, fit_column
from tastespace.errors import DataError, OptionError


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (np.array([1.0, 2.0, 4.0]), "number"),
        (np.array(["a", "b", "a", "b"], dtype=object), "category"),
        (np.array([["x"], ["x", "y"], None], dtype=object), "labels"),
        (np.array([[0.5, 1.0], None, [2.0, 0.0]], dtype=object), "vector"),
        (np.array([f"word{n // 2} common text{n}" for n in range(60)], dtype=object), "words"),
    ],
)
def test_the_kind_of_a_column_follows_from_its_cells(cells: np.ndarray, kind: str) -> None:
    column = fit_column("attribute", cells, hashed=False)
    assert column is not None
    assert column.kind == kind
    features, unknown = column.encode(cells)
    assert features.shape == (len(cells), len(column.names))
    assert kind in ("words", "category") or unknown == []


@pytest.mark.parametrize("cells", [[None, None], ["same", "same"], [f"id{n}" for n in range(60)]])
def test_constants_ids_and_empty_columns_are_left_out(cells: list[str | None]) -> None:
    assert fit_column("attribute", np.array(cells, dtype=object), hashed=True) is None


def test_a_column_survives_json() -> None:
    column = Column("age", "number", edges=(1.0, 2.0))
    entry = {"name": "age", "kind": "number", "values": [], "edges": [1.0, 2.0]}
    assert column_from_json(entry) == column
    with pytest.raises(DataError, match="the description of feature column 'age' is not valid"):
        column_from_json({**entry, "edges": [2.0, 1.0]})


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (Column("age", "number"), "old", "feature age is 'old', but a number is expected"),
        (Column("v", "vector", size=2), [1.0], r"feature v is \[1.0\], but a list of 2 finite numbers is expected"),
        (Column("g", "labels"), [[]], r"feature g is \[\[\]\], but a text or a list of texts is expected"),
        (Column("c", "category"), ["a"], r"feature c is \['a'\], but a text is expected"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(column: Column, value: object, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_value(column, value)
