import io
import zipfile
from pathlib import Path

import pytest

from tastespace.data import movielens
from tastespace.data.movielens import (
    GENRES,
    Films,
    members_of,
    members_of_zip,
    parse_100k,
    parse_latest_small,
    split_title,
)
from tastespace.errors import DataError

RATINGS = b"1\t1\t5\t881250949\n2\t3\t1\t891717742\n2\t2\t3\t878887116\n"
LAND = "Land Before Time III: The Time of the Great Giving"
# original title, RecBole's title and year, what both should give, genres
TITLES: list[tuple[str, str, str, str, int | None, list[str]]] = [
    ("Toy Story (1995)", "Toy Story", "1995", "Toy Story", 1995, ["Animation", "Children's", "Comedy"]),
    ("Misérables, Les (1995)", "Misérables, Les", "1995", "Misérables, Les", 1995, ["Drama"]),
    (f"{LAND} (1995) (V)", f"{LAND} (1995)", "V", LAND, 1995, ["Animation", "Sci-Fi"]),
    ("unknown", "unkonwn", "unkonwn", "unknown", None, ["unknown"]),
    ("Brother (Orig. Brat) (1997)", "Brother (Orig. Brat)", "1997", "Brother (Orig. Brat)", 1997, ["Film-Noir"]),
]


def _u_item(number: int, title: str, genres: list[str]) -> str:
    cells = [str(number), title, "01-Jan-1995", "", "http://us.imdb.com", *(str(int(g in genres)) for g in GENRES)]
    assert len(cells) == 24
    return "|".join(cells) + "\n"


def _grouplens() -> dict[str, bytes]:
    items = "".join(_u_item(n, title, genres) for n, (title, *_, genres) in enumerate(TITLES, 1))
    users = "1|24|M|technician|85711\n2|53|F|other|94043\n"
    return {"u.data": RATINGS, "u.item": items.encode("latin-1"), "u.user": users.encode()}


def _recbole() -> dict[str, bytes]:
    rows = "".join(f"{n}\t{row[1]}\t{row[2]}\t{' '.join(row[5])}\n" for n, row in enumerate(TITLES, 1))
    items = f"item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n{rows}"
    users = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    users += "1\t24\tM\ttechnician\t85711\n2\t53\tF\tother\t94043\n"
    header = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    return {"ml-100k.inter": header + RATINGS, "ml-100k.item": items.encode(), "ml-100k.user": users.encode()}


def _latest_small() -> dict[str, bytes]:
    ratings = b"userId,movieId,rating,timestamp\r\n1,1,4.0,964982703\r\n1,9,0.5,964981247\r\n"
    movies = (
        'movieId,title,genres\r\n1,Toy Story (1995),Adventure|Children\r\n9,"No, ""Année"" ",(no genres listed)\r\n'
    )
    return {"ratings.csv": ratings, "movies.csv": movies.encode()}


PARSERS = {"grouplens": (parse_100k, _grouplens), "recbole": (parse_100k, _recbole)}
PARSERS["latest-small"] = (parse_latest_small, _latest_small)


def _zip(files: dict[str, bytes], folder: str = "ml-100k/") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in files.items():
            zipped.writestr(folder + name, data)
    return archive.getvalue()


def test_the_published_files_give_the_films() -> None:
    assert parse_100k(_grouplens(), "here") == Films(
        ratings=RATINGS,
        items={
            "item": [1, 2, 3, 4, 5],
            "title": [row[3] for row in TITLES],
            "year": [row[4] for row in TITLES],
            "genres": [["Animation", "Children's", "Comedy"], ["Drama"], ["Animation", "Sci-Fi"], [], ["Film-Noir"]],
        },
        users={"user": [1, 2], "age": [24, 53], "gender": ["M", "F"], "occupation": ["technician", "other"]},
    )


def test_both_packagings_give_equal_films() -> None:
    assert parse_100k(_recbole(), "here") == parse_100k(_grouplens(), "here")


def test_latest_small_gives_tab_separated_ratings_and_the_films() -> None:
    assert parse_latest_small(_latest_small(), "here") == Films(
        ratings=b"1\t1\t4.0\t964982703\n1\t9\t0.5\t964981247\n",
        items={
            "item": [1, 9],
            "title": ["Toy Story", 'No, "Année"'],
            "year": [1995, None],
            "genres": [["Adventure", "Children"], []],
        },
        users={"user": []},
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Toy Story (1995)", ("Toy Story", 1995)),
        (" Toy Story (1995)  ", ("Toy Story", 1995)),
        ("unknown", ("unknown", None)),
        ("", ("", None)),
        ("(1995)", ("", 1995)),
        ("1984 (1956)", ("1984", 1956)),
        ("Death Note (2006–2007)", ("Death Note (2006–2007)", None)),
        ("Fawlty Towers (1975-1979)", ("Fawlty Towers", 1975)),
        ("Still Running (2016-)", ("Still Running", 2016)),
        (f"{LAND} (1995) (V)", (LAND, 1995)),
        ("Brother (Brat) (1997)", ("Brother (Brat)", 1997)),
        ("two\nlines (2000)", ("two\nlines", 2000)),
    ],
)
def test_a_title_is_parted_from_its_year(text: str, expected: tuple[str, int | None]) -> None:
    assert split_title(text) == expected


@pytest.mark.parametrize("kind", PARSERS)
def test_a_folder_and_an_archive_give_the_same_films(tmp_path: Path, kind: str) -> None:
    parse, make = PARSERS[kind]
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    for name, data in make().items():
        (tmp_path / "folder" / name).write_bytes(data)
    (tmp_path / "films.zip").write_bytes(_zip(make()))
    expected = parse(make(), "here")
    assert parse(members_of(tmp_path / "folder"), "here") == expected
    assert parse(members_of(tmp_path / "films.zip"), "here") == expected


@pytest.mark.parametrize("kind", PARSERS)
def test_a_missing_file_is_told_with_what_is_expected(kind: str) -> None:
    parse, make = PARSERS[kind]
    expected = "ratings.csv and movies.csv are" if kind == "latest-small" else "u.data, u.item and u.user are"
    for name in make():
        files = make()
        del files[name]
        with pytest.raises(DataError, match=f"here does not hold MovieLens .*: {expected} expected"):
            parse(files, "here")


@pytest.mark.parametrize(
    ("kind", "name", "content"),
    [
        ("grouplens", "u.item", b"one|Toy Story (1995)" + b"|0" * 22 + b"\n"),
        ("grouplens", "u.item", b"\n"),
        ("grouplens", "u.user", b"1|24\n"),
        ("grouplens", "u.user", b"1|old|M|none|1\n"),
        ("recbole", "ml-100k.inter", b"no second line"),
        ("recbole", "ml-100k.item", b"header\n1\tToy Story\t1995\n"),
        ("recbole", "ml-100k.item", b"header\n1\tToy Story\t1995\tDrama\tmore\n"),
        ("recbole", "ml-100k.item", b"header\n\xff\t\t\t\n"),
        ("recbole", "ml-100k.user", b"header\nx\t24\tM\tnone\n"),
        ("latest-small", "ratings.csv", b"no second line"),
        ("latest-small", "ratings.csv", b"header\n1,5,4.5\n"),
        ("latest-small", "ratings.csv", b"header\n1,5,good,9\n"),
        ("latest-small", "ratings.csv", b"header\n1,5,nan,9\n"),
        ("latest-small", "movies.csv", b"movieId,title,genres\nx,Toy Story,Drama\n"),
        ("latest-small", "movies.csv", b"movieId,title,genres\n1,Toy Story\n"),
        ("latest-small", "movies.csv", b"movieId,name\n1,Toy Story\n"),
        ("latest-small", "movies.csv", b"movieId,title,genres\n1,\xff,Drama\n"),
        ("latest-small", "movies.csv", b'movieId,title,genres\n1,"' + b"x" * 200_000 + b'",Drama\n'),
    ],
)
def test_a_malformed_line_is_our_error_and_names_the_place(kind: str, name: str, content: bytes) -> None:
    parse, make = PARSERS[kind]
    with pytest.raises(DataError, match="here holds a damaged MovieLens file"):
        parse(make() | {name: content}, "here")


def test_a_film_line_that_is_cut_short_is_counted() -> None:
    with pytest.raises(
        DataError, match=r"here holds a damaged MovieLens file \(u.item has a line of 3 cells; 24 are expected"
    ):
        parse_100k(_grouplens() | {"u.item": b"1|Toy Story (1995)|01-Jan-1995\n"}, "here")


def test_a_truncated_archive_is_refused_wherever_it_ends() -> None:
    whole = _zip(_grouplens())
    for length in range(0, len(whole), 50):
        with pytest.raises(DataError, match="here is not a whole zip archive"):
            members_of_zip(whole[:length], "here")
    assert members_of_zip(whole, "here") == _grouplens()


def test_a_flipped_byte_in_an_archive_is_refused() -> None:
    whole = bytearray(_zip(_grouplens()))
    whole[60] ^= 0xFF
    with pytest.raises(DataError, match="here is not a whole zip archive"):
        members_of_zip(bytes(whole), "here")


def test_an_archive_without_films_has_no_members() -> None:
    assert members_of_zip(_zip({"other.txt": b"x"}, folder=""), "here") == {}
    assert members_of_zip(_zip({}), "here") == {}


def test_files_of_the_bare_archive_are_found_without_a_folder() -> None:
    assert members_of_zip(_zip(_grouplens(), folder=""), "here") == _grouplens()


def test_an_archive_that_would_unpack_to_too_much_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movielens, "_LARGEST_MEMBER", 1000)
    assert members_of_zip(_zip({"u.data": b"x" * 1000}), "here") == {"u.data": b"x" * 1000}
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("a bomb was unpacked"))
    with pytest.raises(DataError, match=r"here holds a file of over 64 MiB \(ml-100k/u.data\)"):
        members_of_zip(_zip({"u.data": b"x" * 1001}), "here")
