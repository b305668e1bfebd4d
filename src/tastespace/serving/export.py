"""Exporting a trained model as a bundle."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tastespace import config as configs
from tastespace.cold_start import ColdItems
from tastespace.data.features import Encoder
from tastespace.data.queries import Queries
from tastespace.errors import BundleError
from tastespace.serving.bundle import Bundle, read_bundle
from tastespace.serving.manifest import describe_run

if TYPE_CHECKING:
    from tastespace.training.fit import Fit

_USERS_AT_ONCE = 1024


def bundle_of(fit: "Fit", metrics: dict[str, Any]) -> Bundle:
    """Make the bundle of a trained model; `metrics` go into its manifest."""
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
            user_vectors = [
                encode(Queries.of_users(everyone[start : start + _USERS_AT_ONCE], histories)).cpu().numpy()
                for start in range(0, len(everyone), _USERS_AT_ONCE)
            ]
            features = items.encode(split.dataset.item_table, split.train.n_items)
            cold_items = ColdItems.from_histories(features, histories)
            vectors = {
                "users": np.concatenate(user_vectors),
                "items": cold_items.fill_rows(model.encode_items().cpu().numpy()),
            }
            fold_in = model.fold_in()
        if fold_in is not None:
            vectors["fold"] = cold_items.fill_rows(fold_in.vectors)
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
        "baselines": None if fit.baselines is None else fit.baselines.to_json(),
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


def overlap_with(path: Path, new: Bundle) -> float | None:
    """Mean share of an item's 10 nearest neighbours that are the same in the bundle at `path`; None without vectors."""
    from tastespace.evaluation.health import neighbourhood_overlap

    try:
        old = read_bundle(path)
    except BundleError:  # it is about to be replaced
        return None
    if old.items != new.items or "items" not in old.vectors or "items" not in new.vectors:
        return None
    likes = [np.bincount(bundle.histories.positives().items, minlength=len(new.items)) for bundle in (old, new)]
    liked = np.minimum(*likes) > 0
    before, after = (
        bundle.vectors["items"][liked, : -bundle.manifest["bias_coordinates"] or None] for bundle in (old, new)
    )
    return neighbourhood_overlap(before, after)
