"""Updating bundles: adding items by their attributes, writing with an index, and building that index again."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from tastespace.cold_start import AddedItems
from tastespace.errors import OptionError
from tastespace.index import Index, IndexReport, build_index
from tastespace.serving.bundle import Bundle, read_bundle, write_bundle
from tastespace.serving.loaded_model import LoadedModel
from tastespace.serving.manifest import INDEX_VERSION

_MOST_UNINDEXED = 20_000  # vectors x 64: to search them in full takes 0.4 ms, as lists of a million others do
_LARGEST_SHARE = 0.05  # of all: what was measured at the build is then about nearly all of them


def add_items(loaded: LoadedModel, items: Mapping[Any, Mapping[str, Any]]) -> LoadedModel:
    """Add items by id with their attributes; see `Recommender.with_items`."""
    if not isinstance(items, Mapping) or not all(isinstance(row, Mapping) for row in items.values()):
        raise OptionError("new items are a mapping of ids to mappings of attributes")
    bundle, encoder = loaded.bundle, loaded.item_encoder
    if not encoder.columns:
        raise OptionError("the items of this bundle have no attributes, so nothing says where a new one belongs")
    vocabulary = bundle.items.extended(list(items))
    table = bundle.item_table.extended(list(items.values()))
    n_known, n_new = bundle.n_known, len(vocabulary) - len(bundle.items)
    features = encoder.encode(table.tail(len(bundle.items)), n_new)
    new = AddedItems.from_features(loaded.item_features, features, loaded.likes[:n_known])
    added_items = (
        new if bundle.added_items is None else AddedItems(sp.vstack([bundle.added_items.weights, new.weights], "csr"))
    )
    manifest = {key: value for key, value in bundle.manifest.items() if key not in ("files", "index")}
    manifest["counts"] = {**bundle.manifest["counts"], "items": len(vocabulary)}
    manifest["index_options"] = bundle.manifest.get("index_options", {})
    vectors, index = dict(bundle.vectors), None
    if "fold" in vectors:
        vectors["fold"] = np.concatenate([vectors["fold"], new.rows_from(vectors["fold"][:n_known])])
    if "items" in vectors:
        index = copy(loaded.index)
        index.add(new.rows_from(vectors["items"][:n_known]))
        vectors["items"] = index.vectors  # one copy of them, not two
        if index.kind != "exact":
            manifest["index"] = {**bundle.manifest["index"], "n_unindexed": index.n_unindexed}
    extended = LoadedModel(
        replace(
            bundle,
            manifest=manifest,
            items=vocabulary,
            item_table=table,
            vectors=vectors,
            added_items=added_items,
        )
    )
    extended.item_features = loaded.item_features
    if index is not None:
        extended.index = index
    return extended


def write(loaded: LoadedModel, path: Path, *, force: bool) -> None:
    """Write a bundle, with its index as it is while few items were added since it was built, else built again."""
    bundle = loaded.bundle
    if "items" not in bundle.vectors:
        write_bundle(path, bundle, force=force)
    elif can_reuse(loaded.index):
        write_with_index(path, bundle, loaded.index, force=force)
    else:
        write_indexed(path, bundle, force=force, **bundle.manifest.get("index_options", {}))


def reindex(path: Path, *, kind: str, recall: float, k: int) -> IndexReport:
    """Build the index of a bundle's items again and write the bundle with it; see `Recommender.reindex`."""
    bundle = read_bundle(path)
    if "items" not in bundle.vectors:
        raise OptionError(f"the model {bundle.manifest['model']} has no vectors to index; it scores every item")
    return write_indexed(path, bundle, force=True, kind=kind, recall=recall, k=k)


def can_reuse(index: Index) -> bool:
    """Whether an index has few enough unindexed vectors to be written as it is; an exact one is not written."""
    return index.kind != "exact" and index.n_unindexed <= min(_MOST_UNINDEXED, _LARGEST_SHARE * len(index))


def write_indexed(path: Path, bundle: Bundle, *, force: bool, **options: Any) -> IndexReport:
    """Build an index of the item vectors with the options of `build_index`, and write the bundle with it."""
    index, report = build_index(bundle.vectors["items"], bundle.vectors["users"], **options)
    entry = {"format_version": INDEX_VERSION, **report.to_json()}
    bundle = replace(bundle, manifest={**bundle.manifest, "index": entry, "index_options": options})
    write_bundle(path, bundle, force=force, save_index=index.save)
    return report


def write_with_index(path: Path, bundle: Bundle, index: Index, *, force: bool) -> None:
    """Write a bundle with a built index and the report measured when it was built."""
    entry = {**bundle.manifest["index"], "n_unindexed": index.n_unindexed}
    bundle = replace(bundle, manifest={**bundle.manifest, "index": entry})
    write_bundle(path, bundle, force=force, save_index=index.save)
