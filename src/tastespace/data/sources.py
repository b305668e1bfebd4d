"""Open data by name, file or folder; public data sets are fetched, checked and cached."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tastespace._atomic import fresh_folder
from tastespace._messages import did_you_mean, shown
from tastespace.data import readers
from tastespace.data.dataset import Dataset, Table
from tastespace.data.downloads import download, download_package
from tastespace.data.interactions import Interactions
from tastespace.data.movielens import Films, members_of, members_of_zip, parse_100k, parse_latest_small
from tastespace.data.read_options import ReadOptions
from tastespace.data.signals import Ratings
from tastespace.data.vocabulary import index_integers
from tastespace.errors import DataError, FetchError, OptionError

_DEFAULTS = ReadOptions()


@dataclass(frozen=True)
class Source:
    """A public data set: how its files become `Films`, and the digests that say they are the right ones."""

    about: str
    url: str
    parse: Callable[[Mapping[str, bytes], str], Films]
    ratings_md5: str | None = None  # of the rating rows, as published
    rows: int = 0
    pip_requirement: str | None = None  # a package that carries the files


SOURCES: dict[str, Source] = {
    "ml-100k": Source(
        about="MovieLens 100K: 100,000 film ratings, 943 users, 1,682 films, 1997-98 (GroupLens)",
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        parse=parse_100k,
        ratings_md5="6e47046882bad158b0efbb84cd5cb987",
        rows=100_000,
        pip_requirement="recbole==1.2.1",
    ),
    "ml-latest-small": Source(
        about="MovieLens latest-small: 100,836 film ratings, 610 users, 9,742 films, to 2018 (GroupLens)",
        url="https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
        parse=parse_latest_small,
        rows=100_836,
    ),
}


@dataclass(frozen=True)
class Fetched:
    """A data set in the cache, the source that served it, and the sources before that were unavailable."""

    name: str
    folder: Path
    served_by: str
    unavailable: tuple[str, ...] = ()  # each with its reason in parentheses


def cache_folder() -> Path:
    """Folder of fetched data: $TASTESPACE_CACHE, else tastespace/ in the user's cache folder of this system."""
    stated = os.environ.get("TASTESPACE_CACHE")
    if stated:
        return Path(stated).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("tastespace", appauthor=False).expanduser()


def load_dataset(name: str, path: str | Path | None = None) -> Dataset:
    """Load a public data set by name, fetched on first use; `path` names a folder or archive that holds it already."""
    return _dataset(name, _fetch(name, path)[1])


def fetch(name: str, path: str | Path | None = None) -> Fetched:
    """Bring a public data set into the cache, checked against its published digest.

    Sources, in this order: `path`, the cache, the publisher, a package that carries the files. Raises `FetchError`
    with the reason of each if all are unavailable.
    """
    return _fetch(name, path)[0]


def _fetch(name: str, path: str | Path | None) -> tuple[Fetched, Films]:
    source = _source(name)
    folder = cache_folder() / name
    if path is not None:
        if not Path(path).exists():
            raise DataError(f"there is no file or folder {str(path)!r}")
        films = _checked(source, source.parse(members_of(Path(path)), str(path)), str(path))
        _write_cache(folder, films)
        return Fetched(name, folder, f"the path {path}"), films
    unavailable: list[str] = []
    if folder.exists():
        try:
            return Fetched(name, folder, "the cache"), _read_cache(folder)
        except DataError as error:
            unavailable.append(f"the cache ({error})")
    for origin, serve in _origins(source):
        try:
            films = _checked(source, source.parse(serve(), origin), origin)
        except (FetchError, DataError) as error:
            unavailable.append(f"{origin} ({error})")
            continue
        _write_cache(folder, films)
        return Fetched(name, folder, origin, tuple(unavailable)), films
    archive = source.url.rsplit("/", 1)[1]
    raise FetchError(
        f"{name} is unavailable: {'; '.join(unavailable)}. "
        f"If you have {archive}, use: tastespace fetch {name} --from PATH"
    )


def open_data(spec: str | Path, options: ReadOptions = _DEFAULTS) -> Dataset:
    """Open what `--data` takes: a data set's name, a log file, or a folder.

    A folder may be MovieLens as published, an S3-Rec folder (sequences.txt), or your own: a file named
    interactions.* or events.*, and optionally items.* and users.*.
    """
    name, path = str(spec), Path(spec)
    if os.path.isdir(path):  # not path.is_dir(), which raises for a name that is too long
        return _open_folder(path, options)
    if name in SOURCES:
        return load_dataset(name)
    if not os.path.exists(path) and not path.suffix and os.sep not in name:
        raise OptionError(f"there is no data set or file {shown(name)}{did_you_mean(name, SOURCES)}")
    return readers.read_log(path, options, name=path.name)


def _open_folder(folder: Path, options: ReadOptions) -> Dataset:
    files = {file.name: file for file in sorted(folder.iterdir()) if file.is_file()}
    for marks, name in (
        ({"u.data", "u.item"}, "ml-100k"),
        ({"ml-100k.inter"}, "ml-100k"),
        ({"ratings.csv", "movies.csv"}, "ml-latest-small"),
    ):
        if marks <= files.keys():
            source = SOURCES[name]
            return _dataset(name, _checked(source, source.parse(members_of(folder), str(folder)), str(folder)))
    if "sequences.txt" in files:
        dataset = readers.read(files["sequences.txt"], format="lines", name=folder.name)
        return Dataset(dataset.name, dataset.interactions, _s3rec_attributes(folder, dataset.interactions), Table())
    stems = {file.stem.split(".")[0].casefold(): file for file in reversed(files.values())}
    log = stems.get("interactions") or stems.get("events") or stems.get("log")
    if log is None:
        hint = "; for a ready split use --train and --test" if {"train", "test"} <= stems.keys() else ""
        raise DataError(f"the folder {folder} has no file named interactions.* or events.*{hint}")
    return readers.read_log(
        log, options, item_table=stems.get("items"), user_table=stems.get("users"), name=folder.name
    )


def _s3rec_attributes(folder: Path, log: Interactions) -> Table:
    file = folder / "item_attributes.json"
    if not file.is_file():
        return Table()
    try:
        attributes = json.loads(file.read_text())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON: {error}") from error
    if not isinstance(attributes, dict) or not all(isinstance(v, list) for v in attributes.values()):
        raise DataError(f"{file} should map each item to a list of attributes")
    column = [[str(a) for a in attributes.get(str(item), [])] for item in log.items.ids]
    return Table.of_lists({"attributes": column})


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise OptionError(f"there is no public data set {shown(name)}{did_you_mean(name, SOURCES)}")
    return SOURCES[name]


def _origins(source: Source) -> list[tuple[str, Callable[[], Mapping[str, bytes]]]]:
    origins: list[tuple[str, Callable[[], Mapping[str, bytes]]]] = [
        (source.url, lambda: members_of_zip(download(source.url), source.url))
    ]
    requirement = source.pip_requirement
    if requirement is not None:
        origins.append((f"the package {requirement}", lambda: download_package(requirement)))
    return origins


def _checked(source: Source, films: Films, where: str) -> Films:
    md5 = hashlib.md5(films.ratings, usedforsecurity=False).hexdigest()
    if source.ratings_md5 is not None and md5 != source.ratings_md5:
        raise DataError(
            f"{where} holds other or damaged ratings: their MD5 is {md5}, the published one {source.ratings_md5}"
        )
    rows = films.ratings.count(b"\n")
    if rows != source.rows:
        raise DataError(f"{where} holds {rows} ratings; {source.rows} were published")
    return films


def _write_cache(folder: Path, films: Films) -> None:
    parts = {
        "ratings.tsv": films.ratings,
        "items.json": json.dumps(films.items).encode(),
        "users.json": json.dumps(films.users).encode(),
    }
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in parts.items()}
    with contextlib.suppress(DataError):  # an intact cache is not replaced: another process may be reading it
        if folder.exists() and _read_cache(folder) == films:
            return
    try:
        with fresh_folder(folder) as fresh:
            for name, data in parts.items():
                (fresh / name).write_bytes(data)
            (fresh / "sha256.json").write_text(json.dumps(digests))
    except OSError as error:
        raise FetchError(
            f"cannot write the cache {folder.parent} ({error.strerror}); name another with TASTESPACE_CACHE=FOLDER"
        ) from error


def _read_cache(folder: Path) -> Films:
    try:
        digests = json.loads((folder / "sha256.json").read_text())
        parts = {name: (folder / name).read_bytes() for name in ("ratings.tsv", "items.json", "users.json")}
        intact = all(hashlib.sha256(data).hexdigest() == digests.get(name) for name, data in parts.items())
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{folder} is damaged ({type(error).__name__})") from error
    if not intact:
        raise DataError(f"{folder} is damaged (a checksum differs)")
    return Films(parts["ratings.tsv"], json.loads(parts["items.json"]), json.loads(parts["users.json"]))


def _dataset(name: str, films: Films) -> Dataset:
    rows = np.array(films.ratings.split(), dtype=np.float64).reshape(-1, 4)
    user, users = index_integers(rows[:, 0].astype(np.int64), "user")
    item, items = index_integers(rows[:, 1].astype(np.int64), "item")
    weight = Ratings().weights(rows[:, 2], name)
    log = Interactions.of(user, item, users, items, value=rows[:, 2], weight=weight, time=rows[:, 3])
    return Dataset(
        name,
        log,
        _aligned(films.items, "item", items.ids),
        _aligned(films.users, "user", users.ids),
        notes=("rating >= 4 liked, < 3 disliked",),
    )


def _aligned(columns: Mapping[str, list[Any]], key: str, ids: np.ndarray) -> Table:
    """Columns in the order of the vocabulary; an id without a row gets None."""
    row_of = {identifier: row for row, identifier in enumerate(columns[key])}
    rows = [row_of.get(int(identifier)) for identifier in ids]
    return Table.of_lists(
        {
            name: [None if row is None else values[row] for row in rows]
            for name, values in columns.items()
            if name != key
        }
    )
