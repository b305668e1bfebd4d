"""Reading bundles of format 1: names of their manifests, weights and files, translated to those of format 2."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

ADDED_ITEMS = "newcomers.safetensors"  # holds what added_items.safetensors does in format 2

_MANIFEST = {"index_asked": "index_options", "overlap_with_replaced": "neighbourhood_overlap"}
_FOLD_IN = {"parts": "blocks", "tail": "bias_query", "little": "unseen_bias_query", "step": "likelihood_step"}
_INDEX = {"overlay": "n_unindexed", "lists": "n_lists", "reach": "nprobe", "rescored": "n_rescored"}
_OPTIONS = {"final_rate": "final_lr_fraction", "start": "init"}
_INIT = {"own": "default", "spectrum": "svd"}
_CONFIG = {
    # ranking losses
    "seen_temperature": "interaction_temperature",
    "seen_weight": "interaction_weight",
    "push": "hard_negative_weight",
    "exponent": "sampling_exponent",
    "known_negatives": "allow_false_negatives",
    "candidates": "shared_negatives",
    # sequences
    "ask": "predict",
    "length": "max_length",
    "blocks_weight": "transformer_weight",
    "mask_share": "mask_prob",
    "last_share": "last_item_mask_prob",
    # two_tower
    "told_share": "history_share",
    "withheld": "user_id_dropout",
    "withheld_items": "item_id_dropout",
    "pooling": "pooling_exponent",
    # closed forms
    "penalty": "l2",
    "unobserved": "unobserved_weight",
    "disliked": "disliked_weight",
    "l2_power": "l2_exponent",
    "sweeps": "iterations",
    "passes": "power_iterations",
    "item_power": "degree_exponent",
}
_USER_ROWS = {"likes": "user_rows.n_positives", "fold": "user_rows.fold"}
_SEQUENCE = {
    "asked": "q_proj",
    "offered": "kv_proj",
    "found": "out_proj",
    "before": "attention_norm",
    "between": "feed_forward_norm",
    "network": "feed_forward",
    "attitude": "feedback",
    "place": "position",
    "adds": "history_item",
    "told": "feedback_seen",
}
_WEIGHTS: Mapping[str, Mapping[str, str]] = {  # by model, of each part of a dotted name
    "mf": _USER_ROWS,
    "lightgcn": _USER_ROWS,
    "ncf": _USER_ROWS,
    "bert4rec": _SEQUENCE,
    "sasrec": _SEQUENCE,
    "two_tower": {
        "met": "unliked_item",
        "anybody": "user_base",
        "likes": "n_positives",
        "item_likes": "item_positives",
        "told": "unliked_kinds",
    },
    "ials": {"told": "has_dislikes"},
}


def translate_manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the manifest with the keys, option names and option values of format 2; other values stay.

    An exact index, which has no files, is translated too; another has to be built again.
    """
    translated = _renamed(manifest, _MANIFEST)
    for key, names in (("fold_in", _FOLD_IN), ("config", _CONFIG), ("options", _OPTIONS)):
        if isinstance(translated.get(key), dict):
            translated[key] = _renamed(translated[key], names)
    index = translated.get("index")
    if isinstance(index, dict) and (index.get("format_version"), index.get("kind")) == (1, "exact"):
        translated["index"] = {"n_unindexed": 0, **_renamed(index, _INDEX), "format_version": 2}
    options = translated.get("options")
    if isinstance(options, dict) and options.get("init") in list(_INIT):
        options["init"] = _INIT[options["init"]]
    return translated


def translate_weights(model: str, weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the tensors of a model by the names of format 2."""
    names = _WEIGHTS.get(model, {})
    return {".".join(names.get(part, part) for part in key.split(".")): array for key, array in weights.items()}


def _renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}
