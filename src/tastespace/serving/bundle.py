"""Bundle: a trained model on disk, in a documented and versioned format (docs/formats.md), never a pickle."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tastespace._atomic import fresh_folder, nearest_folder, probe
from tastespace.cold_start import AddedItems
from tastespace.data import sql
from tastespace.data.dataset import Table
from tastespace.data.histories import Histories
from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import BundleError, DataError
from tastespace.models.parts.fold_in import FoldIn
from tastespace.serving import format_1
from tastespace.serving.manifest import FORMAT, VERSION, check_digest, digest, index_files, read_manifest

_FILES = (
    "users.parquet",
    "items.parquet",
    "histories.safetensors",
    "vectors.safetensors",
    "weights.safetensors",
)
_ADDED_ITEMS = "added_items.safetensors"
_DAMAGE = (OSError, SafetensorError, duckdb.Error, DataError, KeyError, AttributeError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Bundle:
    """Contents of a bundle. `vectors` is empty for models without an inner product.

    `vectors`: "users" (U, D) and "items" (N, D) float32, biases in the last `bias_coordinates` coordinates, and
    "fold" (N, D - biases) where a history folds in without the network. `weights`: the model's tensors by name.
    """

    manifest: Mapping[str, Any]
    users: Vocabulary
    items: Vocabulary
    user_table: Table
    item_table: Table
    histories: Histories
    vectors: Mapping[str, NDArray[np.float32]]
    weights: Mapping[str, NDArray[Any]]
    folder: Path | None = None  # where it was read from
    added_items: AddedItems | None = None  # the last items, which came after the training

    @property
    def n_known(self) -> int:
        """Number of items that the model was trained on."""
        return len(self.items) if self.added_items is None else self.added_items.n_known

    @cached_property
    def fold_in(self) -> FoldIn | None:
        """Fold-in of a history into a query vector, where that needs no network."""
        entry = self.manifest.get("fold_in")
        if entry is None or "fold" not in self.vectors:
            return None
        blocks = [(int(width), float(length)) for width, length in entry["blocks"]]
        bias_query = np.array(entry["bias_query"], dtype=np.float32)
        recency = float(entry.get("recency", 1.0))
        if entry.get("likelihood_step", False):
            return FoldIn.with_likelihood_step(
                self.vectors["fold"], blocks, bias_query, self.vectors["items"], self.n_known, recency
            )
        unseen = entry.get("unseen_bias_query")
        unseen = None if unseen is None else np.array(unseen, dtype=np.float32)
        return FoldIn(self.vectors["fold"], blocks, bias_query, unseen, recency=recency)


def write_bundle(
    path: Path, bundle: Bundle, *, force: bool = False, save_index: Callable[[Path], None] | None = None
) -> None:
    """Write a bundle so that a reader never sees half of one; `save_index` adds the files of an index to its folder.

    An existing one is replaced only with `force`; any other folder or file is never replaced.
    """
    _check_path(path, force)
    _check_finite(path, bundle.vectors, bundle.weights)
    try:
        with fresh_folder(path) as folder:
            _write_tables(
                {
                    folder / "users.parquet": (bundle.users, bundle.user_table),
                    folder / "items.parquet": (bundle.items, bundle.item_table),
                }
            )
            lists = bundle.histories
            save_file(
                {"items": lists.items, "offsets": lists.offsets, "weights": lists.weights},
                folder / "histories.safetensors",
            )
            save_file(_contiguous(bundle.vectors), folder / "vectors.safetensors")
            save_file(_contiguous(bundle.weights), folder / "weights.safetensors")
            if bundle.added_items is not None:
                like = bundle.added_items.weights
                arrays = {"items": like.indices, "offsets": like.indptr.astype(np.int64), "weights": like.data}
                save_file(_contiguous(arrays), folder / _ADDED_ITEMS)
            if save_index is not None:
                save_index(folder)
            files = {file.name: digest(file) for file in sorted(folder.iterdir())}
            header = {"format": FORMAT, "format_version": VERSION}
            manifest = {**header, **bundle.manifest, **header, "files": files}
            (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, allow_nan=False) + "\n")
    except (OSError, SafetensorError, duckdb.IOException) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise BundleError(f"cannot write the bundle {path} ({reason}); nothing was changed there") from error


def check_can_write(path: Path, *, force: bool) -> None:
    """Raise `BundleError` before the work rather than after it, where `write_bundle` would refuse the path."""
    _check_path(path, force)
    folder = nearest_folder(path)
    try:
        probe(folder)
    except OSError as error:
        raise BundleError(f"cannot write in {folder} ({error.strerror}); choose another path for the model") from error


def read_bundle(path: Path) -> Bundle:
    """Read a bundle; version, checksums and shapes are checked before anything of it is used."""
    manifest = read_manifest(path)
    added_files = [name for name in (_ADDED_ITEMS, format_1.ADDED_ITEMS) if name in manifest["files"]]
    try:
        for name in (*_FILES, *index_files(manifest), *added_files):
            check_digest(path, name, manifest)
        added_items = _read_added_items(path / added_files[0], manifest["counts"].get("items")) if added_files else None
        n_added = 0 if added_items is None else len(added_items)
        (users, user_table), (items, item_table) = _read_tables(path, n_added)
        lists = load_file(path / "histories.safetensors")
        histories = Histories(lists["items"], lists["offsets"], lists["weights"])
        vectors = load_file(path / "vectors.safetensors")
        weights = load_file(path / "weights.safetensors")
        if manifest["format_version"] == 1:
            weights = format_1.translate_weights(manifest["model"], weights)
    except FileNotFoundError as error:
        raise BundleError(f"{path} is not a whole bundle: {Path(error.filename or '').name} is missing") from error
    except _DAMAGE as error:
        raise BundleError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
    _check_shapes(path, manifest, len(users), len(items), histories, vectors)
    _check_finite(path, vectors, weights)
    return Bundle(manifest, users, items, user_table, item_table, histories, vectors, weights, path, added_items)


def _check_path(path: Path, force: bool) -> None:
    if not path.exists():
        return
    if not (path / "manifest.json").is_file():
        raise BundleError(f"{path} exists and is not a bundle; choose another path for the model")
    if not force:
        raise BundleError(f"{path} holds a model already; replace it with --force (force=True), or choose another path")


def _check_shapes(
    path: Path,
    manifest: Mapping[str, Any],
    n_users: int,
    n_items: int,
    histories: Histories,
    vectors: Mapping[str, NDArray[np.float32]],
) -> None:
    sound = manifest["counts"].get("users") == n_users and manifest["counts"].get("items") == n_items
    sound &= len(histories) == n_users
    if len(histories.items):
        sound &= bool(histories.items.min() >= 0 and histories.items.max() < n_items)
    sizes = {"users": n_users, "items": n_items, "fold": n_items}
    sound &= all(array.ndim == 2 and len(array) == sizes.get(name, -1) for name, array in vectors.items())
    if "items" in vectors and "users" in vectors:
        sound &= vectors["items"].shape[1:] == vectors["users"].shape[1:]
        sound &= 0 <= manifest["bias_coordinates"] <= vectors["items"].shape[1]
    sound &= "fold" not in vectors or "items" in vectors
    if "fold" in vectors and manifest.get("fold_in") is not None and "items" in vectors:
        widths = [block[0] for block in manifest["fold_in"]["blocks"]]
        sound &= not widths or (min(widths) >= 0 and sum(widths) == vectors["fold"].shape[1])
        sound &= vectors["fold"].shape[1] + len(manifest["fold_in"]["bias_query"]) == vectors["items"].shape[1]
    if not sound:
        raise BundleError(f"{path} is damaged: its tables, histories and vectors do not fit each other")


def _check_finite(path: Path, *parts: Mapping[str, NDArray[Any]]) -> None:
    """Raise `BundleError` for numbers that are not finite, at writing and at reading."""
    for part in parts:
        for name, array in part.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise BundleError(f"{path}: {name} holds numbers that are not finite, so it cannot recommend anything")


def _contiguous(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def _write_tables(tables: Mapping[Path, tuple[Vocabulary, Table]]) -> None:
    with duckdb.connect() as connection:  # one for both: it takes longer than to write them
        for file, (vocabulary, table) in tables.items():
            columns: dict[str, NDArray[Any]] = {"id": vocabulary.ids}
            for name, values in table.columns.items():
                empty = values.dtype.kind == "O" and all(value is None for value in values)
                columns[f"column {name}"] = np.full(len(values), np.nan) if empty else values
            connection.register("rows", columns)
            connection.execute(f"COPY rows TO {sql.text(str(file))} (FORMAT parquet)")


def _read_added_items(file: Path, n_items: Any) -> AddedItems:
    """Read the weights of the added items; `BundleError` for weights of items that the catalogue does not have."""
    held, path = load_file(file), file.parent
    kinds = {name: (array.dtype.kind, array.ndim) for name, array in held.items()}
    if kinds != {"items": ("i", 1), "offsets": ("i", 1), "weights": ("f", 1)}:
        raise BundleError(f"{path} is damaged: its added items are not lists of items with weights")
    lists = Histories(held["items"], held["offsets"], held["weights"])
    n_known = n_items - len(lists) if isinstance(n_items, int) else -1
    sound = n_known > 0 and (len(lists.items) == 0 or (lists.items.min() >= 0 and lists.items.max() < n_known))
    sums = np.bincount(lists.rows, lists.weights, minlength=len(lists))
    sound &= bool(np.isfinite(lists.weights).all() and (lists.weights >= 0).all())
    if not sound or not np.allclose(sums, 1, atol=1e-3):
        raise BundleError(f"{path} is damaged: its added items do not fit its items")
    return AddedItems(sp.csr_matrix((lists.weights, lists.items, lists.offsets), shape=(len(lists), n_known)))


def _read_tables(path: Path, n_added: int) -> tuple[tuple[Vocabulary, Table], ...]:
    """Ids and attributes of the users, and of the items."""
    found = []
    with duckdb.connect() as connection:
        for file, noun, appended in (("users.parquet", "user", 0), ("items.parquet", "item", n_added)):
            fetched = connection.execute(f"SELECT * FROM read_parquet({sql.file(path / file)})").fetchnumpy()
            columns = {name: sql.unmasked(values) for name, values in fetched.items()}
            ids = columns.pop("id")
            table = Table({name.removeprefix("column "): values for name, values in columns.items()})
            found.append((Vocabulary(ids, noun, appended), table))
    return tuple(found)
