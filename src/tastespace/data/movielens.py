"""MovieLens files as GroupLens publishes them, and as RecBole repackages the 100K set."""

import csv
import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tastespace.errors import DataError

GENRES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical "
    "Mystery Romance Sci-Fi Thriller War Western"
).split()
_LARGEST_MEMBER = 64 * 2**20  # no member of these archives is near this; more is a bomb
_TITLE = re.compile(r"^(?P<title>.*?)(?:\s*\((?P<year>\d{4})(?:-\d*)?\))?(?:\s*\([A-Z]\))?\s*$", re.DOTALL)


@dataclass(frozen=True)
class Films:
    """MovieLens in one form, whatever the packaging: the rating rows as bytes, item and user columns as lists."""

    ratings: bytes  # lines of user, item, rating, seconds since 1970, tab-separated
    items: dict[str, list[Any]]  # item, title, year, genres
    users: dict[str, list[Any]]  # user, age, gender, occupation


def split_title(text: str) -> tuple[str, int | None]:
    """A film's title and year from "Title (year)".

    >>> split_title("Toy Story (1995)"), split_title("unknown")
    (('Toy Story', 1995), ('unknown', None))
    """
    match = _TITLE.match(text.strip())
    if match is None:
        return text.strip(), None
    return match["title"].strip(), int(match["year"]) if match["year"] else None


def members_of(path: Path) -> Mapping[str, bytes]:
    """File contents by bare name, from a folder or a zip archive (a wheel is one)."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    return members_of_zip(path.read_bytes(), str(path))


def members_of_zip(data: bytes, where: str) -> Mapping[str, bytes]:
    """File contents by bare name; a truncated or foreign archive raises `DataError`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            wanted = [i for i in archive.infolist() if "ml-" in i.filename or i.filename.startswith("u.")]
            too_large = [info.filename for info in wanted if info.file_size > _LARGEST_MEMBER]
            if too_large:
                raise DataError(f"{where} holds a file of over 64 MiB ({too_large[0]}), which MovieLens does not")
            return {Path(info.filename).name: archive.read(info) for info in wanted if not info.is_dir()}
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise DataError(f"{where} is not a whole zip archive ({error})") from error


def parse_100k(files: Mapping[str, bytes], where: str) -> Films:
    """MovieLens 100K from the files of either packaging."""
    with _explained(where):
        if "u.data" in files and "u.item" in files and "u.user" in files:
            return _from_grouplens(files)
        if {"ml-100k.inter", "ml-100k.item", "ml-100k.user"} <= files.keys():
            return _from_recbole(files)
    raise DataError(f"{where} does not hold MovieLens 100K: u.data, u.item and u.user are expected")


def _from_grouplens(files: Mapping[str, bytes]) -> Films:
    items: dict[str, list[Any]] = {"item": [], "title": [], "year": [], "genres": []}
    for line in files["u.item"].decode("latin-1").splitlines():
        cells = line.split("|")
        if len(cells) < 5 + len(GENRES):
            raise ValueError(f"u.item has a line of {len(cells)} cells; {5 + len(GENRES)} are expected")
        title, year = split_title(cells[1])
        genres = [name for name, flag in zip(GENRES, cells[5:], strict=False) if flag == "1"]
        _add_item(items, cells[0], title, year, genres)
    users = [line.split("|") for line in files["u.user"].decode("latin-1").splitlines()]
    return Films(files["u.data"], items, _user_columns(users))


def _from_recbole(files: Mapping[str, bytes]) -> Films:
    ratings = files["ml-100k.inter"].split(b"\n", 1)[1]
    items: dict[str, list[Any]] = {"item": [], "title": [], "year": [], "genres": []}
    for line in files["ml-100k.item"].decode("utf-8").splitlines()[1:]:
        identifier, text, year_text, genres = line.split("\t")
        # the year was cut off the original title there, once at the wrong bracket: put it back, then part as usual
        title, year = split_title(f"{text} ({year_text})")
        if text == "unkonwn":
            title, year = "unknown", None
        _add_item(items, identifier, title, year, genres.split())
    users = [line.split("\t") for line in files["ml-100k.user"].decode("utf-8").splitlines()[1:]]
    return Films(ratings, items, _user_columns(users))


def _add_item(items: dict[str, list[Any]], identifier: str, title: str, year: int | None, genres: list[str]) -> None:
    items["item"].append(int(identifier))
    items["title"].append(title)
    items["year"].append(year)
    items["genres"].append([genre for genre in genres if genre != "unknown"])


def _user_columns(rows: list[list[str]]) -> dict[str, list[Any]]:
    return {
        "user": [int(row[0]) for row in rows],
        "age": [int(row[1]) for row in rows],
        "gender": [row[2] for row in rows],
        "occupation": [row[3] for row in rows],
    }


def parse_latest_small(files: Mapping[str, bytes], where: str) -> Films:
    """MovieLens latest-small (ratings.csv and movies.csv; half stars, no user attributes)."""
    if not {"ratings.csv", "movies.csv"} <= files.keys():
        raise DataError(f"{where} does not hold MovieLens latest-small: ratings.csv and movies.csv are expected")
    with _explained(where):
        return _from_latest_small(files)


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(f"{where} holds a damaged MovieLens file ({error}); fetch it again") from error


def _from_latest_small(files: Mapping[str, bytes]) -> Films:
    ratings = files["ratings.csv"].split(b"\n", 1)[1].replace(b"\r", b"").replace(b",", b"\t")
    for number, line in enumerate(ratings.splitlines(), 2):
        cells = line.split(b"\t")
        if len(cells) != 4 or not all(math.isfinite(float(cell)) for cell in cells):
            raise ValueError(f"ratings.csv, line {number}, is not four numbers")
    items: dict[str, list[Any]] = {"item": [], "title": [], "year": [], "genres": []}
    for row in csv.DictReader(io.StringIO(files["movies.csv"].decode("utf-8"))):
        title, year = split_title(row["title"])
        genres = [genre for genre in row["genres"].split("|") if not genre.startswith("(")]
        _add_item(items, row["movieId"], title, year, genres)
    return Films(ratings, items, {"user": []})
