"""Making bundles: of a trained model, and with an index of its items."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tastespace import config as configs
from tastespace.cold_start import ColdItems
from tastespace.data.features import Encoder
from tastespace.data.queries import Queries
from tastespace.errors import BundleError
from tastespace.index import Figures, Index, build_index
from tastespace.serving.bundle import INDEX_VERSION, Bundle, describe_run, read_bundle, write_bundle

if TYPE_CHECKING:
    from tastespace.training.fit import Fit

_USERS_AT_ONCE = 1024
_LARGEST_OVERLAY = 20_000  # vectors x 64: to search them in full takes 0.4 ms, as lists of a million others do
_LARGEST_SHARE = 0.05  # of all: what was measured at the build is then about nearly all of them


def bundle_of(fit: "Fit", metrics: dict[str, Any]) -> Bundle:
    import torch

    from tastespace.models.base import Factored

    split, model = fit.split, fit.model
    users, items = Encoder.fit(split.dataset.user_table), Encoder.fit(split.dataset.item_table)
    histories = split.histories()
    vectors: dict[str, NDArray[np.float32]] = {}
    fold_in = None
    if isinstance(model, Factored):
        with torch.no_grad():
            everyone, encode = np.arange(split.train.n_users), model.encoder()
            parts = [
                encode(Queries.of_users(everyone[start : start + _USERS_AT_ONCE], histories)).cpu().numpy()
                for start in range(0, len(everyone), _USERS_AT_ONCE)
            ]
            features = items.encode(split.dataset.item_table, split.train.n_items)
            cold_items = ColdItems.of_histories(features, histories)
            vectors = {"users": np.concatenate(parts), "items": cold_items.placed(model.encode_items().cpu().numpy())}
            fold_in = model.fold_in()
        if fold_in is not None:
            vectors["fold"] = cold_items.placed(fold_in.vectors)
    manifest = {
        **describe_run(
            model=fit.name,
            config=configs.to_mapping(model.config),
            options=configs.to_mapping(fit.options),
            dataset=split.dataset,
            protocol=split.protocol,
            seed=split.seed,
        ),
        "best_epoch": fit.best_epoch,
        "train_seconds": round(fit.seconds, 3),
        "metrics": metrics,
        "health": None if fit.health is None else fit.health.to_json(),
        "features": {
            "users": fit.features.user_encoder.to_json(),
            "items": fit.features.item_encoder.to_json(),
        }
        if fit.features is not None and model.reads_features
        else None,
        "attributes": {
            "users": users.to_json(),
            "items": items.to_json(),
        },
        "bias_coordinates": model.n_bias if isinstance(model, Factored) else 0,
        "fold_in": None if fold_in is None else fold_in.to_json(),
    }
    return Bundle(
        manifest=manifest,
        users=split.train.users,
        items=split.train.items,
        user_table=split.dataset.user_table,
        item_table=split.dataset.item_table,
        histories=histories,
        vectors=vectors,
        weights={name: tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()},
    )


def write_indexed(path: Path, bundle: Bundle, *, force: bool, **how: Any) -> Figures:
    """Write a bundle with an index of its item vectors."""
    index, figures = build_index(bundle.vectors["items"], bundle.vectors["users"], **how)
    told = {"format_version": INDEX_VERSION, **figures.to_json()}
    bundle = replace(bundle, manifest={**bundle.manifest, "index": told, "index_asked": how})
    write_bundle(path, bundle, force=force, save_index=index.save)
    return figures


def is_kept(index: Index) -> bool:
    """Whether few enough vectors came after an index was built that it is written as it is; an exact one is not."""
    return index.kind != "exact" and index.overlay <= min(_LARGEST_OVERLAY, _LARGEST_SHARE * len(index))


def write_kept(path: Path, bundle: Bundle, index: Index, *, force: bool) -> None:
    """Write a bundle with an index that is open, and with what was told of it when it was built."""
    told = {**bundle.manifest["index"], "overlay": index.overlay}
    bundle = replace(bundle, manifest={**bundle.manifest, "index": told})
    write_bundle(path, bundle, force=force, save_index=index.save)


def overlap_with(path: Path, new: Bundle) -> float | None:
    """Share of its 10 nearest neighbours that an item keeps from the bundle at `path`; None without such vectors."""
    from tastespace.evaluation.health import neighbourhood_overlap

    try:
        old = read_bundle(path)
    except BundleError:  # it is about to be replaced
        return None
    if old.items != new.items or "items" not in old.vectors or "items" not in new.vectors:
        return None
    likes = [np.bincount(one.histories.positives().items, minlength=len(new.items)) for one in (old, new)]
    liked = np.minimum(*likes) > 0
    before, after = (one.vectors["items"][liked, : -one.manifest["bias_coordinates"] or None] for one in (old, new))
    return neighbourhood_overlap(before, after)
