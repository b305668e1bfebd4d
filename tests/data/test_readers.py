import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tastespace.data.readers import read
from tastespace.errors import DataError, OptionError
from tests.build import examples
from tests.data.conftest import Write

_id = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@settings(max_examples=examples(40))
@given(st.lists(st.tuples(_id, _id), min_size=1, max_size=6, unique=True))
def test_any_text_ids_survive_a_csv(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = tmp_path_factory.mktemp("ids") / "log.csv"
    lines = ["user,item", *(f"{_cell(user)},{_cell(item)}" for user, item in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    log = read(path).interactions
    got = [(str(u), str(i)) for u, i in zip(log.users.ids[log.user], log.items.ids[log.item], strict=True)]
    assert got == rows


@pytest.mark.parametrize("strange", ["two words", 'say "hi"', "a,b", "👩‍🎤🎸", "x" * 10_000, "line\nbreak", "'; --"])
def test_strange_ids_are_kept_as_they_are(write: Write, strange: str) -> None:
    log = read(write("log.csv", f"user,item\n{_cell(strange)},1\nplain,2\n")).interactions
    assert log.users.ids.tolist() == sorted([strange, "plain"])


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["30", "-4", "9223372036854775807"], [-4, 30, 9223372036854775807]),
        (["007", "7"], ["007", "7"]),
        (["1", "x"], ["1", "x"]),
        (["1.0", "2"], ["1.0", "2"]),
        (["9223372036854775808", "1"], ["1", "9223372036854775808"]),
        (["1e3", "2"], ["1e3", "2"]),
        (["+1", "2"], ["+1", "2"]),
    ],
)
def test_whole_numbers_become_numbers_and_all_else_stays_text(
    write: Write, ids: list[str], expected: list[object]
) -> None:
    log = read(write("log.csv", "user,item\n" + "".join(f"{i},{n}\n" for n, i in enumerate(ids)))).interactions
    assert log.users.ids.tolist() == expected


@pytest.mark.parametrize("low", [0, -(2**62)])
def test_dense_and_sparse_numbers_get_the_same_indices(write: Write, low: int) -> None:
    log = read(write("log.csv", f"user,item\n5,1\n{low},1\n9,1\n")).interactions
    assert log.users.ids.tolist() == [low, 5, 9]
    assert log.user.tolist() == [1, 0, 2]


def test_one_user_one_item_one_row(write: Write) -> None:
    log = read(write("log.csv", "user,item,rating\nann,x,5\n")).interactions
    assert (len(log), log.n_users, log.n_items, log.value.tolist(), log.weight.tolist()) == (1, 1, 1, [5], [1])


def test_rows_stay_in_file_order(write: Write) -> None:
    users = np.random.default_rng(0).permutation(3000)
    log = read(write("log.csv", "user,item\n" + "".join(f"{u},{n}\n" for n, u in enumerate(users)))).interactions
    np.testing.assert_array_equal(log.users.ids[log.user], users)
    np.testing.assert_array_equal(log.item, np.arange(3000))


def test_ratings_become_weights_and_the_note_says_how(write: Write) -> None:
    data = read(write("log.csv", "user,item,rating\n1,1,5\n1,2,3\n1,3,1\n"))
    assert data.interactions.weight.tolist() == [1, 0, -1]
    assert data.notes == ("rating >= 4 liked, < 3 disliked",)


def test_other_values_are_kept_and_every_row_is_liked(write: Write) -> None:
    data = read(write("log.csv", "user,item,hours\n1,1,0.5\n1,2,300\n"))
    assert data.interactions.value.tolist() == [0.5, 300]
    assert data.interactions.weight.tolist() == [1, 1]


def test_options_reach_signal_and_duplicates(write: Write) -> None:
    path = write("log.csv", "user,item,rating\n1,1,9\n1,1,2\n")
    assert read(path, like_from=8, duplicates="max").interactions.weight.tolist() == [1]
    with pytest.raises(DataError, match=r"log.csv repeats a \(user, item\) pair in 1 rows, first in row 2"):
        read(path, like_from=8)


def test_stated_columns_are_taken(write: Write) -> None:
    path = write("log.csv", "a,b,c,d\n1,2,4,5\n")
    log = read(path, user="b", item="a", value="c", time="d", signal="ratings").interactions
    assert (log.users.ids.tolist(), log.items.ids.tolist()) == ([2], [1])
    assert (log.value.tolist(), log.time.tolist() if log.time is not None else None) == ([4], [5])


@pytest.mark.parametrize("name", ["it em", 'it"em', "it'em", 'x"; DROP TABLE log; --', "select", "naïve 🎸", "n"])
def test_any_column_name_can_be_stated(write: Write, name: str) -> None:
    path = write("log.csv", f"user,{_cell(name)}\n1,2\n3,\n")
    with pytest.raises(DataError) as caught:
        read(path, item=name)
    assert f"log.csv, line 3, has no item (column {name!r})" in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("1,1,4\n2,2,good\n", "log.csv, line 3, has 'good' in column 'rating', but a number is expected"),
        ("1,1,4\n2,2,\n", "log.csv, line 3, has None in column 'rating', but a number is expected"),
        ("1,1,4\n2,2,nan\n", "log.csv, line 3, has 'nan' in column 'rating', but a number is expected"),
        ("1,1,inf\n", "log.csv, line 2, has 'inf' in column 'rating', but a number is expected"),
        ("1,1,1e300\n", "log.csv, line 2, has '1e300' in column 'rating', but a number is expected"),
        ("1,1,4\n,2,4\n", "log.csv, line 3, has no user (column 'user')"),
        ('1,1,4\n"",2,4\n', "log.csv, line 3, has no user (column 'user')"),
        ("1,1,4\nx,,4\n", "log.csv, line 3, has no item (column 'item')"),
        ('"a\nb",1,4\n\n\n"c\n\nd",2,bad\n', "log.csv, line 8, has 'bad' in column 'rating'"),
        ("\n\n1,1,4\n\n2,2,bad\n", "log.csv, line 6, has 'bad' in column 'rating'"),
        ("1,1,4\n2,2\n", "log.csv, line 3, has 2 columns, but the header has 3"),
        ("1,1,4\n2,2,3,9\n", "log.csv, line 3, has 4 columns, but the header has 3"),
        ('1,1,4\n"2,2,3\n', "log.csv, line 3, opens a quote that is never closed"),
        ("", "log.csv has a header, but no rows"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_by_file_and_line(write: Write, body: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(write("log.csv", "user,item,rating\n" + body))
    assert message in str(caught.value)


def test_a_column_called_n_does_not_hide_the_row(write: Write) -> None:
    with pytest.raises(DataError, match=r"log.csv, line 4, has 'x' in column 'n'"):
        read(write("log.csv", "user,item,n\n1,1,7\n1,2,7\n1,3,x\n"), value="n")


def test_a_cell_too_long_for_the_line_count_is_named_by_row(write: Write) -> None:
    with pytest.raises(DataError, match=r"log.csv, row 2, has 'bad' in column 'rating'"):
        read(write("log.csv", f"user,item,rating\n1,{'x' * 200_000},4\n1,2,bad\n"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("who,item,x", "has no column with a usual name for the user"),
        ("user,song,track", "has several columns that could be the item: 'song', 'track'"),
        ("user,item,item", "has the column 'item' twice in its header"),
        ("user,item,Item", "has the column 'item' twice in its header"),
        ("", "has no header line with column names; the first line is ''"),
        ("user,item," + "x" * 200_000, "has a first line that is no header: field larger than"),
    ],
)
def test_a_header_that_cannot_be_used_is_explained(write: Write, header: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(write("log.csv", header + "\n1,2,3\n"))
    assert message in str(caught.value)


def test_a_misspelt_stated_column_gets_the_nearest(write: Write) -> None:
    with pytest.raises(DataError, match=r"log.csv has no column 'usr'; did you mean 'user'"):
        read(write("log.csv", "user,item\n1,2\n"), user="usr")


def test_an_unknown_format_is_refused(write: Write) -> None:
    with pytest.raises(OptionError, match="format is 'cvs'; did you mean 'csv'"):
        read(write("log.csv", "user,item\n1,2\n"), format="cvs")  # type: ignore[arg-type]
