import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tastespace.data import sources
from tastespace.data.movielens import GENRES
from tastespace.data.read_options import ReadOptions
from tastespace.data.sources import SOURCES, fetch, load_dataset, open_data
from tastespace.errors import DataError, FetchError, OptionError
from tests.data.conftest import Write

RATINGS = b"2\t7\t5\t881250949\n1\t5\t1\t891717742\n1\t7\t3\t878887116\n"
Files = Mapping[str, bytes]


def _item(number: int, title: str, *genres: str) -> str:
    return "|".join([str(number), title, "", "", "", *(str(int(name in genres)) for name in GENRES)]) + "\n"


FILES: dict[str, bytes] = {
    "u.data": RATINGS,
    "u.item": (_item(7, "Seven (1995)", "Crime", "Thriller") + _item(9, "Unrated (1990)", "War")).encode("latin-1"),
    "u.user": b"1|24|M|technician|85711\n2|53|F|other|94043\n",
}
LATEST: dict[str, bytes] = {
    "ratings.csv": b"userId,movieId,rating,timestamp\n1,5,4.5,964982703\n",
    "movies.csv": b"movieId,title,genres\n5,Five (2005),Drama\n",
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, small data sets under the public names, and no place that serves them."""
    digest = hashlib.md5(RATINGS, usedforsecurity=False).hexdigest()
    monkeypatch.setitem(SOURCES, "ml-100k", replace(SOURCES["ml-100k"], ratings_md5=digest, rows=3))
    monkeypatch.setitem(SOURCES, "ml-latest-small", replace(SOURCES["ml-latest-small"], rows=1))
    monkeypatch.setattr(sources, "download", lambda _: pytest.fail("the network was used"))
    monkeypatch.setattr(sources, "download_package", lambda _: pytest.fail("a registry was used"))
    monkeypatch.setenv("TASTESPACE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """The published files in a folder."""
    return _folder(tmp_path / "films", FILES)


def _folder(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def _serve(monkeypatch: pytest.MonkeyPatch, **places: Files | Exception) -> list[str]:
    """Make these the places; the names of those asked so far."""
    asked: list[str] = []

    def place(name: str, answer: Files | Exception) -> Callable[[], Files]:
        def serve() -> Files:
            asked.append(name)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return serve

    monkeypatch.setattr(sources, "_origins", lambda _: [(name, place(name, answer)) for name, answer in places.items()])
    return asked


def test_the_path_comes_before_the_cache_and_the_cache_before_any_place(
    monkeypatch: pytest.MonkeyPatch, films: Path, cache: Path
) -> None:
    asked = _serve(monkeypatch, first=FetchError("down"), second=FILES, third=FILES)
    fetched = fetch("ml-100k")
    assert (fetched.served_by, fetched.unavailable, fetched.folder) == ("second", ("first (down)",), cache / "ml-100k")
    assert asked == ["first", "second"]
    assert (fetch("ml-100k").served_by, fetch("ml-100k").unavailable) == ("the cache", ())
    assert fetch("ml-100k", films).served_by == f"the path {films}"
    assert asked == ["first", "second"]


def test_the_dataset_is_the_same_from_path_place_and_cache(monkeypatch: pytest.MonkeyPatch, films: Path) -> None:
    _serve(monkeypatch, place=FILES)
    by_place, by_cache, by_path = load_dataset("ml-100k"), load_dataset("ml-100k"), load_dataset("ml-100k", films)
    for data in (by_place, by_cache, by_path):
        log = data.interactions
        assert list(zip(log.users.ids[log.user], log.items.ids[log.item], strict=True)) == [(2, 7), (1, 5), (1, 7)]
        assert (log.value.tolist(), log.weight.tolist()) == ([5, 1, 3], [1, -1, 0])
        assert log.time is not None
        assert log.time.tolist() == [881250949, 891717742, 878887116]
        assert data.item_table.row(1) == {"title": "Seven", "year": 1995, "genres": ["Crime", "Thriller"]}
        assert data.item_table.row(0) == {"title": None, "year": None, "genres": None}
        assert data.user_table["age"].tolist() == [24, 53]
        assert (data.name, data.notes) == ("ml-100k", ("rating >= 4 liked, < 3 disliked",))


def test_other_ratings_than_the_published_are_refused(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    _serve(monkeypatch, place=FILES | {"u.data": RATINGS.replace(b"\t5\t", b"\t4\t", 1)})
    with pytest.raises(
        FetchError, match=r"place \(place holds other or damaged ratings: their MD5 is [0-9a-f]{32}, the"
    ):
        fetch("ml-100k")
    assert not cache.exists()


def test_a_place_with_damaged_ratings_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, bad=FILES | {"u.data": b"1\t1\t1\t1\n"}, good=FILES)
    assert fetch("ml-100k").served_by == "good"


def test_another_number_of_ratings_than_published_is_refused(tmp_path: Path) -> None:
    files = LATEST | {"ratings.csv": LATEST["ratings.csv"] + b"2,5,3.0,964982704\n"}
    with pytest.raises(DataError, match="films holds 2 ratings; 1 were published"):
        fetch("ml-latest-small", _folder(tmp_path / "films", files))


@pytest.mark.parametrize("row", [b"1,5,good,9\n", b"1,5,4.5\n", b"1,5,nan,9\n", b"1,5,4.5,9,9\n"])
def test_a_rating_line_that_is_not_four_numbers_is_refused(tmp_path: Path, cache: Path, row: bytes) -> None:
    files = LATEST | {"ratings.csv": b"userId,movieId,rating,timestamp\n" + row}
    with pytest.raises(
        DataError, match=r"films holds a damaged MovieLens file \(.*line 2, is not four numbers|could not convert"
    ):
        fetch("ml-latest-small", _folder(tmp_path / "films", files))
    assert not cache.exists()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "other ratings": lambda folder: (folder / "ratings.tsv").write_bytes(RATINGS + RATINGS),
    "cut off": lambda folder: (folder / "items.json").write_bytes(b"{"),
    "lost file": lambda folder: (folder / "users.json").unlink(),
    "lost digests": lambda folder: (folder / "sha256.json").unlink(),
    "digests are no table": lambda folder: (folder / "sha256.json").write_text("[]"),
    "digests are no JSON": lambda folder: (folder / "sha256.json").write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_fetched_again(monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    asked = _serve(monkeypatch, place=FILES)
    folder = fetch("ml-100k").folder
    DAMAGE[damage](folder)
    fetched = fetch("ml-100k")
    assert fetched.served_by == "place"
    assert len(fetched.unavailable) == 1
    assert fetched.unavailable[0].startswith(f"the cache ({folder} is damaged (")
    assert asked == ["place", "place"]
    assert fetch("ml-100k").served_by == "the cache"


def test_a_cache_that_cannot_be_written_names_the_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _serve(monkeypatch, place=FILES)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TASTESPACE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FetchError, match=r"cannot write the cache .*file/cache \(.+\); .* TASTESPACE_CACHE=FOLDER"):
        fetch("ml-100k")


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert sources.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("TASTESPACE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert sources.cache_folder() == tmp_path / "xdg" / "tastespace"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sources.cache_folder() == tmp_path / ".cache" / "tastespace"


def test_where_no_place_serves_every_answer_is_told(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    (cache / "ml-100k").mkdir(parents=True)
    _serve(monkeypatch, first=FetchError("not reachable"), second={}, third=DataError("broken"))
    with pytest.raises(FetchError) as caught:
        fetch("ml-100k")
    text = str(caught.value)
    for part in (
        f"ml-100k is unavailable: the cache ({cache / 'ml-100k'} is damaged (FileNotFoundError)); ",
        "first (not reachable); ",
        "second (second does not hold MovieLens 100K: u.data, u.item and u.user are expected); ",
        "third (broken). If you have ml-100k.zip, use: tastespace fetch ml-100k --from PATH",
    ):
        assert part in text


def test_the_places_of_films_are_the_publisher_then_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def down(what: str) -> Any:
        raise FetchError(f"{what} is down")

    monkeypatch.setattr(sources, "download", down)
    monkeypatch.setattr(sources, "download_package", down)
    with pytest.raises(FetchError, match=r"ml-100k\.zip is down\); the package recbole==1\.2\.1 \(recbole==1\.2\.1 is"):
        fetch("ml-100k")
    with pytest.raises(FetchError, match=r"ml-latest-small\.zip is down\)\. If you have ml-latest-small\.zip"):
        fetch("ml-latest-small")


def test_a_path_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DataError, match="there is no file or folder '/no/such'"):
        fetch("ml-100k", "/no/such")


@pytest.mark.parametrize("name", ["ml100k", "ML-100k"])
def test_a_misspelt_name_gets_the_nearest(name: str) -> None:
    with pytest.raises(OptionError, match=f"no public data set '{name}'; did you mean 'ml-100k'"):
        fetch(name)
    with pytest.raises(OptionError, match=f"no data set or file '{name}'; did you mean 'ml-100k'"):
        open_data(name)


def test_two_processes_can_fill_one_cache(films: Path, cache: Path) -> None:
    code = (
        "import sys; from dataclasses import replace\n"
        "from tastespace.data.sources import SOURCES, fetch, load_dataset\n"
        "name, path, digest = sys.argv[1:]\n"
        "SOURCES[name] = replace(SOURCES[name], ratings_md5=digest, rows=3)\n"
        "for _ in range(20): fetch(name, path); assert len(load_dataset(name, path).interactions) == 3\n"
    )
    digest = hashlib.md5(RATINGS, usedforsecurity=False).hexdigest()
    command = [sys.executable, "-c", code, "ml-100k", str(films), digest]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [("", 0)] * 2
    assert fetch("ml-100k").served_by == "the cache"
    assert [path.name for path in cache.iterdir()] == ["ml-100k"]


def test_a_name_opens_the_public_data(monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, place=FILES)
    assert open_data("ml-100k").interactions.fingerprint() == load_dataset("ml-100k").interactions.fingerprint()


def test_a_folder_of_films_as_published_opens_without_the_cache(tmp_path: Path, films: Path, cache: Path) -> None:
    assert open_data(films).item_table["title"].tolist() == [None, "Seven"]
    latest = open_data(_folder(tmp_path / "latest", LATEST))
    assert (latest.name, latest.item_table.row(0)["genres"]) == ("ml-latest-small", ["Drama"])
    assert not cache.exists()


def test_a_log_file_opens_under_its_own_name(write: Write) -> None:
    data = open_data(write("my.csv", "user,item,rating\n1,2,9\n1,3,2\n"), ReadOptions(like_from=8))
    assert (data.name, data.interactions.weight.tolist()) == ("my.csv", [1, -1])


@pytest.mark.parametrize("log", ["interactions.csv", "events.csv", "log.csv", "Interactions.CSV"])
def test_an_own_folder_opens_with_its_tables(tmp_path: Path, log: str) -> None:
    files = {
        log: "user,item\n1,5\n2,6\n",
        "items.jsonl": '{"item": 6, "title": "Six"}\n',
        "users.csv": "user,age\n1,30\n",
    }
    data = open_data(_folder(tmp_path / "own", files))
    assert data.name == "own"
    assert data.item_table["title"].tolist() == [None, "Six"]
    np.testing.assert_array_equal(data.user_table["age"], [30, np.nan])


def test_the_tables_of_an_own_folder_are_optional(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "own", {"events.csv": "user,item\n1,5\n", "items.csv": "item,title\n5,Five\n"})
    assert open_data(folder).user_table.columns == {}
    assert open_data(folder).item_table["title"].tolist() == ["Five"]


@pytest.mark.parametrize("attributes", [{"10": [3, 4], "20": [5]}, {"10": [3], "20": [4]}, {"10": [], "20": []}, {}])
def test_an_s3_rec_folder_opens_with_its_attributes(tmp_path: Path, attributes: dict[str, list[int]]) -> None:
    files = {"sequences.txt": "1 20 10\n2 20\n", "item_attributes.json": json.dumps(attributes)}
    data = open_data(_folder(tmp_path / "Beauty", files))
    log = data.interactions
    assert data.name == "Beauty"
    assert list(zip(log.users.ids[log.user], log.items.ids[log.item], strict=True)) == [(1, 20), (1, 10), (2, 20)]
    expected = [[str(number) for number in attributes.get(item, [])] for item in ("10", "20")]
    assert [list(cell) for cell in data.item_table["attributes"]] == expected


def test_an_s3_rec_folder_needs_no_attributes(tmp_path: Path) -> None:
    assert open_data(_folder(tmp_path / "Beauty", {"sequences.txt": "1 20\n"})).item_table.columns == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"{", "item_attributes.json is not JSON"),
        (b"\xff", "item_attributes.json is not JSON"),
        (b"[" * 100_000, "item_attributes.json is not JSON"),
        (b"[]", "item_attributes.json should map each item to a list of attributes"),
        (b'{"10": 3}', "item_attributes.json should map each item to a list of attributes"),
    ],
)
def test_broken_attributes_are_explained(tmp_path: Path, text: bytes, message: str) -> None:
    folder = _folder(tmp_path / "Beauty", {"sequences.txt": "1 10\n", "item_attributes.json": text})
    with pytest.raises(DataError, match=message):
        open_data(folder)


@pytest.mark.parametrize("files", [{}, {"other.csv": "user,item\n1,2\n"}, {"train.txt": "1 2\n"}])
def test_a_folder_without_a_log_is_explained(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(DataError, match=r"own has no file named interactions\.\* or events\.\*$"):
        open_data(_folder(tmp_path / "own", files))


def test_a_folder_with_a_ready_split_names_the_options_for_it(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "split", {"train.txt": "1 2\n", "test.txt": "1 3\n"})
    with pytest.raises(DataError, match="for a ready split use --train and --test"):
        open_data(folder)


@pytest.mark.parametrize("spec", ["no/such/folder", "nothing.csv", "x" * 5000])
def test_what_is_neither_name_nor_file_is_our_error(spec: str) -> None:
    with pytest.raises((DataError, OptionError), match=r"there is no (data set or )?file"):
        open_data(spec)
