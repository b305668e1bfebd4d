"""Recommendations for every user of a bundle, streamed to a file; an interrupted run resumes where it stopped."""

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

_USERS_PER_PART = 10_000
_FORMATS = {".parquet": "FORMAT parquet", ".csv": "FORMAT csv, HEADER", ".jsonl": "FORMAT json"}


@dataclass(frozen=True)
class Batch:
    """Number of users and rows (user, rank, item, score, route) written; `short` users got fewer than `k` items."""

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
    `Recommender.recommend`. Users who liked nothing get the most popular items (route "popular"). Finished parts are
    saved beside `out` until all are written: after an interruption the same call computes only the missing ones.
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
            f"{out} cannot be written ({error.strerror}); name a file in a folder that you can write to"
        ) from error
    blocked = ~resolve_filter(recommender.loaded, exclude=exclude, allow=allow, where=where).remaining
    options = {"k": k, "seen": exclude_seen, "blocked": hashlib.sha256(blocked.tobytes()).hexdigest()}
    options |= {"version": version("tastespace"), "users per part": _USERS_PER_PART}
    key = json.dumps({**options, "bundle": _fingerprint(bundle)}, sort_keys=True)
    parts = out.with_name(f".{out.name[:100]}-parts-{hashlib.sha256(key.encode()).hexdigest()[:16]}")
    try:
        return _recommend_all(recommender, out, parts, k, blocked, exclude_seen, progress)
    except (OSError, duckdb.Error) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise OptionError(f"{out} cannot be written ({reason}); finished parts are saved") from error


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
    users = np.arange(len(bundle.users))
    starts = range(0, len(users), _USERS_PER_PART)
    with track("recommending", total=len(users), enabled=progress) as tick:
        for number, start in enumerate(starts):
            file = parts / f"part-{number:06}.parquet"
            if not file.exists():
                columns = _rank_users(recommender, users[start : start + _USERS_PER_PART], k, blocked, exclude_seen)
                _write_part(file, columns)
            tick(min(start + _USERS_PER_PART, len(users)))
    written = _join(recommender, parts, out, k)
    shutil.rmtree(parts)
    return written


def _fingerprint(bundle: Bundle) -> Any:
    """Identify the bundle: by the checksums of its files, or, of one that is not saved, by its contents."""
    files = bundle.manifest.get("files")
    if files is not None:
        return files
    contents = hashlib.sha256(repr(bundle.items.ids.tolist()).encode())
    for arrays in (bundle.vectors, bundle.weights, bundle.histories.__dict__):
        for name in sorted(arrays):
            contents.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    if bundle.added_items is not None:
        weights = bundle.added_items.weights
        contents.update(weights.data.tobytes() + weights.indices.tobytes() + weights.indptr.tobytes())
    return contents.hexdigest()


def _rank_users(
    recommender: Recommender, users: NDArray[np.int64], k: int, blocked: NDArray[np.bool_], exclude_seen: bool
) -> dict[str, NDArray[Any]]:
    """Rank items for users, as columns of rows; items and users by index."""
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
            row, position = np.nonzero(items >= 0)
            columns["user"].append(queries.users[part][row])
            columns["rank"].append(position + 1)
            columns["item"].append(items[row, position])
            columns["score"].append(scores.cpu().numpy()[row, position])
            columns["route"].append(np.full(len(row), route, dtype=object))
    return {name: np.concatenate(parts) if parts else np.zeros(0) for name, parts in columns.items()}


def _scorer(recommender: Recommender, route: str, blocked: NDArray[np.bool_]) -> Scorer:
    """Make a scorer of all items, -inf for those that must not come back."""
    mask = torch.from_numpy(blocked) if blocked.any() else None
    if route == "popular":
        likes = torch.from_numpy(recommender.loaded.popularity)
        scorer: Scorer = lambda queries: likes.repeat(len(queries), 1)  # noqa: E731
    elif "items" in recommender.bundle.vectors:
        users, items = (torch.from_numpy(np.asarray(recommender.bundle.vectors[name])) for name in ("users", "items"))
        scorer = lambda queries: products(users[torch.from_numpy(queries.users)], items)  # noqa: E731
    else:
        scorer = recommender.loaded.scorer
    if mask is None:
        return scorer

    def masked(queries: Queries) -> torch.Tensor:
        return scorer(queries).masked_fill_(mask, -torch.inf)

    return masked


def _write_part(file: Path, columns: dict[str, NDArray[Any]]) -> None:
    with written_beside(file) as fresh, duckdb.connect() as connection:
        connection.register("rows", columns)
        connection.execute(
            "COPY (SELECT user::BIGINT AS user, rank::BIGINT AS rank, item::BIGINT AS item, score::FLOAT AS score, "
            f"route::VARCHAR AS route FROM rows) TO {sql.text(str(fresh))} (FORMAT parquet)"
        )


def _join(recommender: Recommender, parts: Path, out: Path, k: int) -> Batch:
    """Join the parts into one file, with ids in place of indices."""
    bundle = recommender.bundle
    rows_of_parts = f"read_parquet({sql.files(sorted(parts.glob('part-*.parquet')))})"
    with written_beside(out) as fresh, duckdb.connect() as connection:
        for name, vocabulary in (("users", bundle.users), ("items", bundle.items)):
            connection.register(name, {"row_index": np.arange(len(vocabulary)), "id": vocabulary.ids})
        connection.execute(
            "COPY (SELECT users.id AS user, rank, items.id AS item, score, route "
            f"FROM {rows_of_parts} AS part "
            "JOIN users ON users.row_index = part.user JOIN items ON items.row_index = part.item "
            f"ORDER BY users.row_index, rank) TO {sql.text(str(fresh))} ({_FORMATS[out.suffix]})"
        )
        counts = connection.execute(
            "SELECT count(*), sum(n), count(*) FILTER (n < ?) "
            f"FROM (SELECT count(*) AS n FROM {rows_of_parts} GROUP BY user)",
            [k],
        ).fetchone()
    users, rows, short = counts or (0, 0, 0)
    return Batch(out, int(users), int(rows or 0), int(short) + len(bundle.users) - int(users))
