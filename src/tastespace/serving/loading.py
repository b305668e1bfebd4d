"""Reading the parts of a bundle that need more than its arrays: its index, its features and its network."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tastespace import config as configs
from tastespace._messages import shown
from tastespace.data.features import Encoder, Features
from tastespace.errors import BundleError, DataError, OptionError
from tastespace.index import ExactIndex, Index
from tastespace.index.build import index_class
from tastespace.index.files import KINDS
from tastespace.serving import format_2
from tastespace.serving.bundle import Bundle
from tastespace.serving.manifest import INDEX_VERSION

if TYPE_CHECKING:
    from torch import Tensor

    from tastespace.models.base import Model


def read_index(bundle: Bundle) -> Index:
    """Read the index of a bundle's item vectors, or make an exact one where none is saved."""
    entry = bundle.manifest.get("index")
    if entry is None or bundle.folder is None:
        return ExactIndex.build(bundle.vectors["items"])
    if not isinstance(entry, dict) or entry.get("format_version") != INDEX_VERSION:
        version = entry.get("format_version") if isinstance(entry, dict) else entry
        raise BundleError(
            f"the index of {bundle.folder} has format version {shown(version)}; this tastespace reads version "
            f"{INDEX_VERSION}: build it again (tastespace index {bundle.folder})"
        )
    kind = entry.get("kind")
    if kind not in KINDS:
        raise BundleError(f"{bundle.folder} has an index of an unknown kind, {shown(kind)}")
    index = index_class(kind).load(bundle.folder, bundle.vectors["items"])
    if (entry.get("n"), entry.get("n_unindexed")) != (len(index) - index.n_unindexed, index.n_unindexed):
        raise BundleError(
            f"the index of {bundle.folder} is not the one in its manifest: build it again "
            f"(tastespace index {bundle.folder})"
        )
    return index


def read_features(bundle: Bundle) -> Features | None:
    """Encode the features that the model reads from the bundle's tables; None for a model that reads none."""
    entry = bundle.manifest.get("features")
    if entry is None:
        return None
    try:
        encoders = Encoder.from_json(entry["users"]), Encoder.from_json(entry["items"])
        items = bundle.item_table.head(bundle.n_known)
        return Features.encoded(bundle.user_table, items, len(bundle.users), bundle.n_known, encoders)
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise BundleError("the features of this bundle do not fit its tables") from error


def load_model(bundle: Bundle, features: Features | None) -> "Model":
    """Rebuild the network from its config and fill in its weights; needs torch, no training data."""
    import torch

    from tastespace import models
    from tastespace.models.base import Shapes
    from tastespace.models.parts.meta_device import shapes_only

    name = bundle.manifest["model"]
    cls = models.get(name)
    try:
        written = bundle.manifest["config"]
        config = configs.from_mapping(cls.Config, format_2.with_added_options(written, configs.names(cls.Config)))
    except OptionError as error:
        raise BundleError(f"the config of this {name} bundle is not valid: {error}") from error
    shapes = Shapes(len(bundle.users), bundle.n_known)
    if features is not None:
        shapes = replace(shapes, user_features=features.users.shape[1], item_features=features.items.shape[1])
    try:
        with shapes_only():  # shapes alone, whatever they claim to be
            planned = cls(config, shapes).state_dict()
        weights = {key: torch.from_numpy(array) for key, array in bundle.weights.items()}
        if format_2.is_older(written):
            added = {key: torch.ones(tensor.shape) for key, tensor in planned.items() if format_2.is_added_factor(key)}
            weights = {**added, **weights}
        if _shapes_of(planned) != _shapes_of(weights):
            missing = ", ".join(sorted(set(planned) - set(weights)))
            why = (
                f" ({missing} missing: was it made by another version of tastespace? train it again)" if missing else ""
            )
            raise BundleError(f"the weights of this {name} bundle do not fit its config{why}")
        model = cls(config, shapes)
        if features is not None:
            model.set_features(features)
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"the weights of this {name} bundle do not fit its config") from error
    return model.eval()


def _shapes_of(tensors: "Mapping[str, Tensor]") -> dict[str, tuple[int, ...]]:
    """Shapes by name; a single number is saved as an array of one."""
    return {key: tuple(tensor.shape) or (1,) for key, tensor in tensors.items()}
