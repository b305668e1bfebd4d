import json
from datetime import datetime

import numpy as np
import pytest

from tastespace.data.dataset import Dataset, Table, find_title
from tastespace.errors import DataError, UnknownIdError
from tests.build import log

TITLES = Table({"title": np.array(["Heat", "Toy Story", "heat", "Toy Story 2", None], dtype=object)})


def test_a_row_gives_plain_values() -> None:
    table = Table(
        {
            "year": np.array([1995.0, np.nan]),
            "score": np.array([0.5, 1.0]),
            "tags": np.array([["a"], None], dtype=object),
        }
    )
    assert table.row(0) == {"year": 1995, "score": 0.5, "tags": ["a"]}
    assert table.row(1) == {"year": None, "score": 1, "tags": None}


def test_dates_and_vectors_of_a_row_are_ready_for_json() -> None:
    cells = {
        "when": datetime(2020, 1, 1, 5),
        "days": np.array(["2020-01-01"], "datetime64[s]"),
        "e": np.float32([0.5, 1]),
    }
    columns = {name: np.empty(1, dtype=object) for name in cells}
    for name, cell in cells.items():
        columns[name][0] = cell
    row = {"when": "2020-01-01 05:00:00", "days": ["2020-01-01 00:00:00"], "e": [0.5, 1]}
    assert json.loads(json.dumps(Table(columns).row(0))) == row


def test_columns_are_found_by_name() -> None:
    assert "title" in TITLES
    assert "year" not in TITLES
    assert TITLES["title"][0] == "Heat"


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match=r"the columns of a table have different lengths: \[1, 2\]"):
        Table({"a": np.zeros(1), "b": np.zeros(2)})


@pytest.mark.parametrize(("which", "noun"), [("item_table", "item"), ("user_table", "user")])
def test_a_table_of_another_length_than_its_vocabulary_is_refused(which: str, noun: str) -> None:
    with pytest.raises(DataError, match=f"{noun} column 'x' has 3 rows, but there are 2 {noun}s"):
        Dataset("tiny", log([(0, 0), (1, 1)]), **{which: Table({"x": np.zeros(3)})})


def test_a_dataset_says_its_size() -> None:
    assert repr(Dataset("tiny", log([(0, 0), (1, 0)]))) == "Dataset('tiny', 2 users, 1 items, 2 rows)"


@pytest.mark.parametrize(("text", "found"), [("HEAT", [0, 2]), ("toy story", [1]), (" toy ", [1, 3]), ("story 2", [3])])
def test_a_title_is_found_whole_before_in_part(text: str, found: list[int]) -> None:
    assert find_title(TITLES, text).tolist() == found


@pytest.mark.parametrize(
    ("text", "message"),
    [("Toy Stroy", "there is no item titled 'Toy Stroy'; did you mean 'Toy Story"), ("", "no item titled ''")],
)
def test_an_unknown_title_gets_the_nearest(text: str, message: str) -> None:
    with pytest.raises(UnknownIdError, match=message):
        find_title(TITLES, text)


def test_without_titles_there_is_nothing_to_look_in() -> None:
    with pytest.raises(UnknownIdError, match="there is no item 'Heat', and the items have no titles to look in"):
        find_title(Table(), "Heat")
