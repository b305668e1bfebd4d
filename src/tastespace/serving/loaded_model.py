"""A bundle with its model loaded: indices in, indices and scores out. torch is loaded only where a network runs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace import config as configs
from tastespace._messages import shown
from tastespace.cold_start import ColdItems, People
from tastespace.data.conditions import Attributes
from tastespace.data.features import Encoder, Features
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries
from tastespace.errors import BundleError, DataError, OptionError
from tastespace.index import ExactIndex, Index
from tastespace.index.build import class_of
from tastespace.index.exact import best_of
from tastespace.index.files import KINDS
from tastespace.models.parts.fold_in import Parts, mean_of
from tastespace.serving.bundle import INDEX_VERSION, Bundle, check_digest, index_files
from tastespace.serving.filters import Filter

if TYPE_CHECKING:
    from torch import Tensor

    from tastespace.models.base import Factored, Model

_USERS_AT_ONCE = 1024
_HISTORIES_AT_ONCE = 64


class LoadedModel:
    """What a bundle can be asked; everything is made when it is first needed, and kept."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    @cached_property
    def model(self) -> "Model":
        """The network; needs torch."""
        return load_model(self.bundle, self.features)

    @cached_property
    def features(self) -> Features | None:
        """What the model was told of users and items; None where it reads none."""
        return read_features(self.bundle)

    @cached_property
    def user_encoder(self) -> Encoder:
        """How attributes of a user become features, whether the model reads them or not."""
        if self.features is not None:
            return self.features.user_encoder
        return self._encoder_of("users")

    @cached_property
    def item_encoder(self) -> Encoder:
        """How attributes of an item become features to compare items by."""
        return self._encoder_of("items")

    def _encoder_of(self, part: str) -> Encoder:
        try:
            return Encoder.from_json(self.bundle.manifest.get("attributes", {}).get(part, []))
        except (DataError, AttributeError) as error:
            raise BundleError("the attributes in the manifest of this bundle are not valid") from error

    @cached_property
    def attributes(self) -> Attributes:
        """The item table, to ask conditions of."""
        return Attributes(self.bundle.item_table, len(self.bundle.items))

    @cached_property
    def people(self) -> People:
        """Users who liked something, to be found by their attributes."""
        bundle = self.bundle
        features = self.user_encoder.encode(bundle.user_table, len(bundle.users))
        return People.of(features, bundle.histories, len(bundle.items))

    @cached_property
    def likes(self) -> NDArray[np.int64]:
        """(N,) how many users of the bundle like each item."""
        liked = self.bundle.histories.positives()
        return np.bincount(liked.items, minlength=len(self.bundle.items))

    @cached_property
    def item_features(self) -> sp.csr_matrix:
        """(N, G) attributes of the items that the model was trained on, to compare others with."""
        return self.item_encoder.encode(self.bundle.item_table.head(self.bundle.n_known), self.bundle.n_known)

    @cached_property
    def cold_items(self) -> ColdItems:
        """Items of the catalogue that nobody met: the network does not know where they stand; vectors do."""
        return ColdItems.of_histories(self.item_features, self.bundle.histories)

    @cached_property
    def index(self) -> Index:
        """Of the item vectors."""
        return read_index(self.bundle)

    def open_index(self) -> None:
        """Open an index that lies in files now, while they are those that the manifest tells of."""
        files = index_files(self.bundle.manifest)
        if self.bundle.manifest.get("index") is None or self.bundle.folder is None:
            return
        _ = self.index
        for name in files:
            try:
                check_digest(self.bundle.folder, name, self.bundle.manifest)
            except OSError as error:
                raise BundleError(f"{self.bundle.folder} was changed while it was opened; open it again") from error

    @cached_property
    def item_embeddings(self) -> ExactIndex:
        """Directions of items, their biases left out; `OptionError` for a model without any."""
        vectors = self._without_bias("items")
        if vectors is None:
            space = self.model.item_embeddings()
            if space is None:
                raise OptionError(f"the model {self.bundle.manifest['model']} has no vectors to compare items by")
            vectors = self.cold_items.placed(space.detach().numpy())
            if self.bundle.added_items is not None:
                vectors = self.bundle.added_items.joined(vectors)
        return ExactIndex.build(_unit(vectors))

    @cached_property
    def user_embeddings(self) -> ExactIndex:
        """The same of users."""
        vectors = self._without_bias("users")
        if vectors is None:
            import torch

            everyone = np.arange(len(self.bundle.users))
            parts = []
            with torch.no_grad():
                for start in range(0, len(everyone), _USERS_AT_ONCE):
                    chunk = Queries.of_users(everyone[start : start + _USERS_AT_ONCE], self.bundle.histories)
                    part = self.model.query_embeddings(chunk)
                    if part is None:
                        raise OptionError(
                            f"the model {self.bundle.manifest['model']} has no vectors to compare users by"
                        )
                    parts.append(part.numpy())
            vectors = np.concatenate(parts)
        return ExactIndex.build(_unit(vectors))

    def _without_bias(self, name: str) -> NDArray[np.float32] | None:
        vectors = self.bundle.vectors.get(name)
        return None if vectors is None else vectors[:, : vectors.shape[1] - self.bundle.manifest["bias_coordinates"]]

    def best(self, queries: Queries, filtered: Filter, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places and scores of up to `k` best items of one query, best first."""
        vector = self.query_vector(queries)
        if vector is None:
            return best_among(self.scores(queries)[0], filtered, k)
        found = self.index.search(vector[None, :], k, exclude=[filtered.hidden], allow=filtered.allowed)
        kept = found.indices[0] >= 0
        return found.indices[0][kept], found.scores[0][kept]

    def query_vector(self, queries: Queries) -> NDArray[np.float32] | None:
        """(D,) of one query: from the vectors alone where they suffice, else from the network; None without vectors."""
        if "items" not in self.bundle.vectors:
            return None
        if queries.users[0] >= 0 and queries.features is None:
            return self.bundle.vectors["users"][queries.users[0]]
        fold_in = self.bundle.fold_in
        if fold_in is not None:
            return fold_in(queries)[0]
        import torch

        with torch.no_grad():
            return np.asarray(self.encoder(self._known_only(queries))[0].numpy())

    def scores(self, queries: Queries) -> NDArray[np.float32]:
        """(B, N) from the network."""
        import torch

        with torch.no_grad():
            return np.asarray(self.scorer(queries).numpy(), dtype=np.float32)

    @cached_property
    def encoder(self) -> "Callable[[Queries], Tensor]":
        """Vectors of many queries by the model itself; needs torch."""
        return cast("Factored", self.model).encoder()

    @cached_property
    def scorer(self) -> "Callable[[Queries], Tensor]":
        """Scores (B, N) of many queries by the model itself; needs torch."""
        import torch

        with torch.no_grad():
            found = self.cold_items.around(self.model.scorer())
        added_items = self.bundle.added_items
        if added_items is None:
            return found
        return lambda queries: torch.from_numpy(added_items.scored(found(self._known_only(queries)).numpy()))

    def score(self, queries: Queries, place: int) -> float:
        """Of one item for one query."""
        vector = self.query_vector(queries)
        if vector is not None:
            return float(self.bundle.vectors["items"][place] @ vector)
        return float(self.pair_scores(queries, place)[0])

    def pair_scores(self, queries: Queries, place: int) -> NDArray[np.float32]:
        """(B,) of one item, from the network."""
        import torch

        places, weights = self._stands_for(place)
        with torch.no_grad():
            items = torch.from_numpy(places).expand(len(queries), -1)
            scores = self.model.score_pairs(self._known_only(queries), items).numpy()
        return np.asarray(scores @ weights, dtype=np.float32)

    def parts(self, queries: Queries, place: int) -> Parts | None:
        """What the score of an item is the sum of, without the network where vectors suffice; None for no such sum."""
        fold_in = self.bundle.fold_in
        if fold_in is None:
            places, weights = self._stands_for(place)
            found_each = [self.model.parts(self._known_only(queries), one) for one in places.tolist()]
            sums = [parts for parts in found_each if parts is not None]
            return mean_of(sums, weights.tolist()) if sums else None
        found = fold_in.parts_of(queries, self.bundle.vectors["items"][place])
        return replace(found, user=self.score(queries, place) - found.total) if queries.users[0] >= 0 else found

    def losses(self, queries: Queries, place: int) -> Parts:
        """What the score of an item loses without each item of the history, the user's own row aside."""
        history = queries.history
        distinct, first, which = np.unique(history.items, return_index=True, return_inverse=True)
        stays = np.arange(len(distinct) + 1)[:, None] != which[None, :]  # (V + 1, T) all but one item, at last all
        scores = []
        for rows in np.array_split(stays, -(-len(stays) // _HISTORIES_AT_ONCE)):
            lengths = rows.sum(axis=1)
            kept = np.broadcast_to(np.arange(len(which)), rows.shape)[rows]
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
            without = Histories(history.items[kept], offsets, history.weights[kept])
            features = None if queries.features is None else np.repeat(queries.features, len(rows), axis=0)
            scores.append(self.pair_scores(Queries(np.full(len(rows), -1, dtype=np.int64), without, features), place))
        found = np.concatenate(scores).astype(np.float64)
        lost = np.zeros(len(which))
        lost[first] = found[-1] - found[:-1]
        return Parts(lost)

    def _stands_for(self, place: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Items that the model knows, and the weights with which they stand for one: itself, unless it came later."""
        added_items, cold_items = self.bundle.added_items, np.flatnonzero(self.cold_items.places == place)
        if len(cold_items):
            row = self.cold_items.like[cold_items[0]]
        elif added_items is None or place < added_items.n_known:
            return np.array([place]), np.ones(1, dtype=np.float32)
        else:
            row = added_items.like[place - added_items.n_known]
        return row.indices.astype(np.int64), row.data.astype(np.float32)

    def _known_only(self, queries: Queries) -> Queries:
        """The same in items that the model knows."""
        added_items = self.bundle.added_items
        return queries if added_items is None else replace(queries, history=added_items.known_only(queries.history))


def best_among(scores: NDArray[np.float32], filtered: Filter, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places and scores of up to `k` best of the scores (N,) of all items, best first."""
    best = best_of(filtered.applied(scores), k)
    return best, scores[best]


def read_index(bundle: Bundle) -> Index:
    """The index of a bundle's item vectors: what was built and stored with it, else an exact one."""
    told = bundle.manifest.get("index")
    if told is None or bundle.folder is None:
        return ExactIndex.build(bundle.vectors["items"])
    if not isinstance(told, dict) or told.get("format_version") != INDEX_VERSION:
        version = told.get("format_version") if isinstance(told, dict) else told
        raise BundleError(
            f"the index of {bundle.folder} has format version {shown(version)}; this tastespace reads version "
            f"{INDEX_VERSION}: build it again (tastespace index {bundle.folder})"
        )
    kind = told.get("kind")
    if kind not in KINDS:
        raise BundleError(f"{bundle.folder} has an index of an unknown kind, {shown(kind)}")
    index = class_of(kind).load(bundle.folder, bundle.vectors["items"])
    if (told.get("n"), told.get("overlay", 0)) != (len(index) - index.overlay, index.overlay):
        raise BundleError(
            f"the index of {bundle.folder} is not the one that its manifest tells of: build it again "
            f"(tastespace index {bundle.folder})"
        )
    return index


def read_features(bundle: Bundle) -> Features | None:
    """What a bundle's model was told of users and items, encoded again from its tables; None where it was told none."""
    told = bundle.manifest.get("features")
    if told is None:
        return None
    try:
        encoders = Encoder.from_json(told["users"]), Encoder.from_json(told["items"])
        items = bundle.item_table.head(bundle.n_known)
        return Features.encoded(bundle.user_table, items, len(bundle.users), bundle.n_known, encoders)
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise BundleError("the features of this bundle do not fit its tables") from error


def load_model(bundle: Bundle, features: Features | None) -> "Model":
    """The network of a bundle, rebuilt from its config and filled with its weights; needs torch, no training data."""
    import torch

    from tastespace import models
    from tastespace.models.base import Shapes
    from tastespace.models.parts.meta_device import shapes_only

    name = bundle.manifest["model"]
    cls = models.get(name)
    try:
        config = configs.from_mapping(cls.Config, bundle.manifest["config"])
    except OptionError as error:
        raise BundleError(f"the config of this {name} bundle is not valid: {error}") from error
    shapes = Shapes(len(bundle.users), bundle.n_known)
    if features is not None:
        shapes = replace(shapes, user_features=features.users.shape[1], item_features=features.items.shape[1])
    weights = {key: torch.from_numpy(array) for key, array in bundle.weights.items()}
    try:
        with shapes_only():  # shapes alone, whatever they claim to be
            planned = cls(config, shapes).state_dict()
        if _shapes_of(planned) != _shapes_of(weights):
            missing = ", ".join(sorted(set(planned) - set(weights)))
            why = (
                f" ({missing} missing: was it made by another version of tastespace? train it anew)" if missing else ""
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
    """By name; a single number lies on disk as an array of one."""
    return {key: tuple(tensor.shape) or (1,) for key, tensor in tensors.items()}


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
