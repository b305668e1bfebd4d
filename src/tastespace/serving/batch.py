"""Batch: the best items for every user of a bundle, streamed to a file; an interrupted run goes on where it stopped."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from errno import EISDIR
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import torch
from numpy.typing import NDArray

from tastespace._atomic import nearest_folder, probe, written_beside
from tastespace._progress import track
from tastespace.data import sql
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries, check_k
from tastespace.errors import OptionError
from tastespace.evaluation.ranking import Scorer, best_in_chunks
from tastespace.models.parts.matmul import products
from tastespace.serving.bundle import Bundle
from tastespace.serving.questions import resolve_filter
from tastespace.serving.recommender import Recommender

_USERS_A_PART = 10_000
_FORMATS = {".parquet": "FORMAT parquet", ".csv": "FORMAT csv, HEADER", ".jsonl": "FORMAT json"}


@dataclass(frozen=True)
class Batch:
    """What was written: rows (user, rank, item, score, route), and how many users got fewer than `k` items."""

    file: Path
    users: int
    rows: int
    short: int


def recommend_all(
    recommender: Recommender,
    out: str | Path,
    *,
    k: int = 10,
    exclude: Iterable[Any] | None = (),
    allow: Iterable[Any] | None = None,
    where: str | None = None,
    exclude_seen: bool = True,
    progress: bool | None = None,
) -> Batch:
    """Write the `k` best items of every known user to `out` (.parquet, .csv or .jsonl), users in the bundle's order.

    Every item is scored, so that lists are exact whatever the bundle's index. Filters are those of
    `Recommender.recommend`. Users who liked nothing get what is most liked (route "popular"). Finished parts are kept
    beside `out` until all are: the same call after an interruption makes only those that are missing.
    """
    out = Path(out)
    bundle = recommender.bundle
    check_k(k, len(bundle.items))
    if out.suffix not in _FORMATS:
        raise OptionError(f"{out} ends in none of {', '.join(_FORMATS)}, so it is not clear how to write it")
    try:
        if out.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder")
        probe(nearest_folder(out))
    except OSError as error:
        raise OptionError(
            f"{out} cannot be written ({error.strerror}); name a file in a folder that is yours"
        ) from error
    blocked = ~resolve_filter(recommender.loaded, exclude=exclude, allow=allow, where=where).left
    asked = {"k": k, "seen": exclude_seen, "blocked": hashlib.sha256(blocked.tobytes()).hexdigest()}
    asked |= {"version": version("tastespace"), "users a part": _USERS_A_PART}
    told = json.dumps({**asked, "bundle": _fingerprint(bundle)}, sort_keys=True)
    parts = out.with_name(f".{out.name[:100]}-parts-{hashlib.sha256(told.encode()).hexdigest()[:16]}")
    try:
        return _recommend_all(recommender, out, parts, k, blocked, exclude_seen, progress)
    except (OSError, duckdb.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OptionError(f"{out} cannot be written ({reason}); the parts that are finished stay") from error


def _recommend_all(
    recommender: Recommender,
    out: Path,
    parts: Path,
    k: int,
    blocked: NDArray[np.bool_],
    exclude_seen: bool,
    progress: bool | None,
) -> Batch:
    bundle = recommender.bundle
    parts.mkdir(parents=True, exist_ok=True)
    everyone = np.arange(len(bundle.users))
    starts = range(0, len(everyone), _USERS_A_PART)
    with track("recommending", total=len(everyone), enabled=progress) as tick:
        for number, start in enumerate(starts):
            file = parts / f"part-{number:06}.parquet"
            if not file.exists():
                _write_part(file, _best(recommender, everyone[start : start + _USERS_A_PART], k, blocked, exclude_seen))
            tick(min(start + _USERS_A_PART, len(everyone)))
    users, rows, short = _join(recommender, parts, out, k)
    shutil.rmtree(parts)
    return Batch(out, users, rows, short)


def _fingerprint(bundle: Bundle) -> Any:
    """What lists depend on: the files' checksums, or, of a bundle that is not as it lies on disk, its contents."""
    files = bundle.manifest.get("files")
    if files is not None:
        return files
    found = hashlib.sha256(repr(bundle.items.ids.tolist()).encode())
    for arrays in (bundle.vectors, bundle.weights, bundle.histories.__dict__):
        for name in sorted(arrays):
            found.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    if bundle.added_items is not None:
        like = bundle.added_items.weights
        found.update(like.data.tobytes() + like.indices.tobytes() + like.indptr.tobytes())
    return found.hexdigest()


def _best(
    recommender: Recommender, users: NDArray[np.int64], k: int, blocked: NDArray[np.bool_], exclude_seen: bool
) -> dict[str, NDArray[Any]]:
    """Rows of some users as columns; items and users by index."""
    bundle = recommender.bundle
    histories = bundle.histories.take(users)
    hidden = histories if exclude_seen else Histories.of([[]] * len(users))
    known = histories.positives().lengths > 0
    columns: dict[str, list[NDArray[Any]]] = {name: [] for name in ("user", "rank", "item", "score", "route")}
    for route, rows in (("user", np.flatnonzero(known)), ("popular", np.flatnonzero(~known))):
        score = _scorer(recommender, route, blocked)
        queries = Queries(users[rows], histories.take(rows))
        ranked = best_in_chunks(score, queries, hidden.take(rows), n_items=len(bundle.items), k=k)
        for part, scores, best in ranked:
            items = best.cpu().numpy()
            row, place = np.nonzero(items >= 0)
            columns["user"].append(queries.users[part][row])
            columns["rank"].append(place + 1)
            columns["item"].append(items[row, place])
            columns["score"].append(scores.cpu().numpy()[row, place])
            columns["route"].append(np.full(len(row), route, dtype=object))
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in columns.items()}


def _scorer(recommender: Recommender, route: str, blocked: NDArray[np.bool_]) -> Scorer:
    """Scores of all items, -inf where none may come back."""
    out = torch.from_numpy(blocked) if blocked.any() else None
    if route == "popular":
        likes = torch.from_numpy(recommender.loaded.popularity)
        found: Scorer = lambda queries: likes.repeat(len(queries), 1)  # noqa: E731
    elif "items" in recommender.bundle.vectors:
        users, items = (torch.from_numpy(np.asarray(recommender.bundle.vectors[name])) for name in ("users", "items"))
        found = lambda queries: products(users[torch.from_numpy(queries.users)], items)  # noqa: E731
    else:
        found = recommender.loaded.scorer
    if out is None:
        return found

    def masked(queries: Queries) -> torch.Tensor:
        return found(queries).masked_fill_(out, -torch.inf)

    return masked


def _write_part(file: Path, columns: dict[str, NDArray[Any]]) -> None:
    with written_beside(file) as fresh, duckdb.connect() as connection:
        connection.register("rows", columns)
        connection.execute(
            "COPY (SELECT user::BIGINT AS user, rank::BIGINT AS rank, item::BIGINT AS item, score::FLOAT AS score, "
            f"route::VARCHAR AS route FROM rows) TO {sql.text(str(fresh))} (FORMAT parquet)"
        )


def _join(recommender: Recommender, parts: Path, out: Path, k: int) -> tuple[int, int, int]:
    """Put the parts together, with ids for indices; how many users, rows, and users with fewer than `k` items."""
    bundle = recommender.bundle
    found = f"read_parquet({sql.files(sorted(parts.glob('part-*.parquet')))})"
    with written_beside(out) as fresh, duckdb.connect() as connection:
        for name, vocabulary in (("users", bundle.users), ("items", bundle.items)):
            connection.register(name, {"place": np.arange(len(vocabulary)), "id": vocabulary.ids})
        connection.execute(
            "COPY (SELECT users.id AS user, rank, items.id AS item, score, route "
            f"FROM {found} AS part "
            "JOIN users ON users.place = part.user JOIN items ON items.place = part.item "
            f"ORDER BY users.place, rank) TO {sql.text(str(fresh))} ({_FORMATS[out.suffix]})"
        )
        counts = connection.execute(
            f"SELECT count(*), sum(n), count(*) FILTER (n < ?) FROM (SELECT count(*) AS n FROM {found} GROUP BY user)",
            [k],
        ).fetchone()
    users, rows, short = counts or (0, 0, 0)
    return int(users), int(rows or 0), int(short) + len(bundle.users) - int(users)
