from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.interactions import Interactions
from tastespace.data.lines import read_lines, read_ready_split
from tastespace.data.readers import read
from tastespace.errors import DataError, OptionError
from tests.data.conftest import Write

_words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=4)


def _rows(log: Interactions) -> list[tuple[object, object]]:
    users, items = log.users.ids[log.user].tolist(), log.items.ids[log.item].tolist()
    return list(zip(users, items, strict=True))


def test_each_line_is_a_user_and_their_items_in_order(write: Write) -> None:
    assert _rows(read_lines(write("log.lines", "7 30 10\n\n3 10\n"))) == [(7, 30), (7, 10), (3, 10)]


@given(st.dictionaries(_words, st.lists(_words, max_size=4), min_size=1, max_size=5))
def test_any_words_survive(tmp_path_factory: pytest.TempPathFactory, lists: dict[str, list[str]]) -> None:
    path = tmp_path_factory.mktemp("lines") / "log.lines"
    path.write_text("".join(" ".join([user, *items]) + "\n" for user, items in lists.items()), encoding="utf-8")
    expected = [(user, item) for user, items in lists.items() for item in items]
    if not expected:
        with pytest.raises(DataError, match="has users but no items"):
            read_lines(path)
        return
    assert [(str(user), str(item)) for user, item in _rows(read_lines(path))] == expected


def test_a_user_without_items_is_in_the_vocabulary(write: Write) -> None:
    log = read_lines(write("log.lines", "1 5\n2\n"))
    assert log.users.ids.tolist() == [1, 2]
    assert log.histories().lengths.tolist() == [1, 0]


@pytest.mark.parametrize("text", ["7 1\n007 2\n", "7 1\n+7 2\n", "7 1\n1_0 2\n", "7 1\n99999999999999999999 2\n"])
def test_ids_that_are_no_plain_numbers_stay_texts(write: Write, text: str) -> None:
    log = read_lines(write("log.lines", text))
    assert log.users.is_text
    assert len(log.users) == 2
    assert log.items.ids.tolist() == [1, 2]


def test_there_are_no_times_and_every_row_is_liked(write: Write) -> None:
    log = read(write("log.lines", "a x y\r\nb y\r\n")).interactions
    assert log.time is None
    assert log.weight.tolist() == [1, 1, 1]


def test_a_byte_order_mark_is_no_part_of_an_id(write: Write) -> None:
    assert read_lines(write("log.lines", b"\xef\xbb\xbf1 2\n")).users.ids.tolist() == [1]


def test_latin_1_is_read_where_it_is_stated(write: Write) -> None:
    path = write("log.lines", "José x\n".encode("latin-1"))
    assert read_lines(path, encoding="latin-1").users.ids.tolist() == ["José"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1 2\n\n1 3\n", r"log.lines, line 3, starts with user '1', who has a line already"),
        (b"1\n2\n", r"log.lines has users but no items; each line should read: user item item"),
        (b"\n \n", r"log.lines is empty"),
        (b"a\x00b c\n", r"log.lines is not text: it holds zero bytes"),
        ("é x\n".encode("latin-1"), r"log.lines is not utf-8 text; .* --encoding latin-1"),
    ],
)
def test_a_broken_file_says_what_is_wrong(write: Write, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_lines(write("log.lines", content))


def test_a_missing_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"there is no file 'nowhere.lines'"):
        read_lines(Path("nowhere.lines"))


def test_an_unknown_encoding_is_refused(write: Write) -> None:
    with pytest.raises(OptionError, match="there is no encoding 'klingon'; write for example utf-8"):
        read_lines(write("log.lines", "1 2\n"), encoding="klingon")


def test_a_ready_split_shares_one_vocabulary(write: Write) -> None:
    train, test = read_ready_split(write("train.txt", "1 10\n2 20\n"), write("test.txt", "1 30\n3 10\n"))
    assert _rows(train) == [(1, 10), (2, 20)]
    assert _rows(test) == [(1, 30), (3, 10)]
    assert train.users == test.users
    assert train.items.ids.tolist() == [10, 20, 30]


def test_one_text_id_makes_both_parts_text(write: Write) -> None:
    train, test = read_ready_split(write("train.txt", "1 10\n"), write("test.txt", "a 10\n"))
    assert _rows(train) == [("1", 10)]
    assert _rows(test) == [("a", 10)]
