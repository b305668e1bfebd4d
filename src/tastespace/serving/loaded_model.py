"""A bundle with its model loaded: indices in, scores and vectors out. torch is loaded only where a network runs."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace.cold_start import ColdItems, SimilarUsers
from tastespace.data.conditions import Attributes
from tastespace.data.features import Encoder, Features
from tastespace.data.queries import Queries
from tastespace.errors import BundleError, DataError, OptionError
from tastespace.index import ExactIndex, Index
from tastespace.serving.bundle import Bundle
from tastespace.serving.loading import load_model, read_features, read_index
from tastespace.serving.manifest import check_digest, index_files
from tastespace.serving.neighbours import unit_rows, weigh_by_evidence
from tastespace.serving.reranking import ResolvedRules
from tastespace.serving.rules import Rules

if TYPE_CHECKING:
    from torch import Tensor

    from tastespace.models.base import Factored, Model

_USERS_AT_ONCE = 1024
_RULES_CACHED = 16  # sets of rules


class LoadedModel:
    """The parts of a bundle and its scores; everything is computed when it is first needed, and cached."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._resolved_rules: dict[Rules, ResolvedRules] = {}

    @cached_property
    def model(self) -> "Model":
        """Network of the bundle; needs torch."""
        return load_model(self.bundle, self.features)

    @cached_property
    def features(self) -> Features | None:
        """Features of users and items that the model reads; None where it reads none."""
        return read_features(self.bundle)

    @cached_property
    def user_encoder(self) -> Encoder:
        """Encoder of a user's attributes, whether the model reads them or not."""
        if self.features is not None:
            return self.features.user_encoder
        return self._encoder_of("users")

    @cached_property
    def item_encoder(self) -> Encoder:
        """Encoder of an item's attributes, to compare items by."""
        return self._encoder_of("items")

    def _encoder_of(self, part: str) -> Encoder:
        try:
            return Encoder.from_json(self.bundle.manifest.get("attributes", {}).get(part, []))
        except (DataError, AttributeError) as error:
            raise BundleError("the attributes in the manifest of this bundle are not valid") from error

    @cached_property
    def attributes(self) -> Attributes:
        """Item table, for conditions."""
        return Attributes(self.bundle.item_table, len(self.bundle.items))

    @cached_property
    def similar_users(self) -> SimilarUsers:
        """Users who liked something, to be compared by their attributes."""
        bundle = self.bundle
        features = self.user_encoder.encode(bundle.user_table, len(bundle.users))
        return SimilarUsers.from_histories(features, bundle.histories, len(bundle.items))

    @cached_property
    def likes(self) -> NDArray[np.int64]:
        """(N,) number of users of the bundle who like each item."""
        liked = self.bundle.histories.positives()
        return np.bincount(liked.items, minlength=len(self.bundle.items))

    @cached_property
    def popularity(self) -> NDArray[np.float32]:
        """(N,) likes of each item; of added items, the mean of the known items most similar to them."""
        return self.with_added_items(self.likes.astype(np.float32))

    @cached_property
    def item_features(self) -> sp.csr_matrix:
        """(N, G) attributes of the items that the model was trained on, to compare others with them."""
        return self.item_encoder.encode(self.bundle.item_table.head(self.bundle.n_known), self.bundle.n_known)

    @cached_property
    def cold_items(self) -> ColdItems:
        """Items of the catalogue without any interaction; the network has not learnt them, `vectors` place them."""
        return ColdItems.from_histories(self.item_features, self.bundle.histories)

    @cached_property
    def index(self) -> Index:
        """Index of the item vectors."""
        return read_index(self.bundle)

    def load_index(self) -> None:
        """Load an index that is saved in files now, while they are those of the manifest."""
        files = index_files(self.bundle.manifest)
        if self.bundle.manifest.get("index") is None or self.bundle.folder is None:
            return
        _ = self.index
        for name in files:
            try:
                check_digest(self.bundle.folder, name, self.bundle.manifest)
            except OSError as error:
                raise BundleError(f"{self.bundle.folder} was changed while it was loaded; load it again") from error

    @cached_property
    def unit_item_vectors(self) -> NDArray[np.float32]:
        """(N, D) item vectors of length 1, biases left out; `OptionError` for a model without vectors."""
        vectors = self._without_bias("items")
        if vectors is None:
            embeddings = self.model.item_embeddings()
            if embeddings is None:
                raise OptionError(f"the model {self.bundle.manifest['model']} has no vectors to compare items by")
            vectors = self.cold_items.fill_rows(embeddings.detach().numpy())
            if self.bundle.added_items is not None:
                vectors = self.bundle.added_items.extend_rows(vectors)
        return unit_rows(vectors)

    @cached_property
    def item_neighbour_index(self) -> ExactIndex:
        """Index of items whose inner products with unit vectors are similarities; `OptionError` without vectors."""
        known = self.likes[: self.bundle.n_known, None].astype(np.float32)
        likes = self.with_added_items(self.cold_items.fill_rows(known)[:, 0])
        return ExactIndex.build(weigh_by_evidence(self.unit_item_vectors, likes))

    @cached_property
    def user_neighbour_index(self) -> ExactIndex:
        """Index of user vectors of length 1, biases left out; `OptionError` for a model without vectors."""
        vectors = self._without_bias("users")
        if vectors is None:
            import torch

            users = np.arange(len(self.bundle.users))
            chunks = []
            with torch.no_grad():
                for start in range(0, len(users), _USERS_AT_ONCE):
                    queries = Queries.of_users(users[start : start + _USERS_AT_ONCE], self.bundle.histories)
                    embeddings = self.model.query_embeddings(queries)
                    if embeddings is None:
                        raise OptionError(
                            f"the model {self.bundle.manifest['model']} has no vectors to compare users by"
                        )
                    chunks.append(embeddings.numpy())
            vectors = np.concatenate(chunks)
        return ExactIndex.build(unit_rows(vectors))

    def _without_bias(self, name: str) -> NDArray[np.float32] | None:
        vectors = self.bundle.vectors.get(name)
        return None if vectors is None else vectors[:, : vectors.shape[1] - self.bundle.manifest["bias_coordinates"]]

    def query_vector(self, queries: Queries) -> NDArray[np.float32] | None:
        """(D,) vector of one query, without the network where the vectors suffice; None for a model without vectors."""
        if "items" not in self.bundle.vectors:
            return None
        if queries.users[0] >= 0 and queries.features is None:
            return self.bundle.vectors["users"][queries.users[0]]
        fold_in = self.bundle.fold_in
        if fold_in is not None:
            return fold_in(queries)[0]
        import torch

        with torch.no_grad():
            return np.asarray(self.query_encoder(self.without_added_items(queries))[0].numpy())

    def scores(self, queries: Queries) -> NDArray[np.float32]:
        """(B, N) scores from the network."""
        import torch

        with torch.no_grad():
            return np.asarray(self.scorer(queries).numpy(), dtype=np.float32)

    @cached_property
    def query_encoder(self) -> "Callable[[Queries], Tensor]":
        """Function from queries to their vectors (B, D), by the model itself; needs torch."""
        return cast("Factored", self.model).encoder()

    @cached_property
    def scorer(self) -> "Callable[[Queries], Tensor]":
        """Function from queries to scores (B, N), by the model itself; needs torch."""
        import torch

        with torch.no_grad():
            scorer = self.cold_items.wrap(self.model.scorer())
        added_items = self.bundle.added_items
        if added_items is None:
            return scorer
        return lambda queries: torch.from_numpy(
            added_items.extend_scores(scorer(self.without_added_items(queries)).numpy())
        )

    def score(self, queries: Queries, item: int) -> float:
        """Score one item for one query."""
        vector = self.query_vector(queries)
        if vector is not None:
            return float(self.bundle.vectors["items"][item] @ vector)
        return float(self.score_pairs(queries, item)[0])

    def score_pairs(self, queries: Queries, item: int) -> NDArray[np.float32]:
        """(B,) scores of one item for each query, from the network."""
        import torch

        items, weights = self.known_items_for(item)
        with torch.no_grad():
            repeated = torch.from_numpy(items).expand(len(queries), -1)
            scores = self.model.score_pairs(self.without_added_items(queries), repeated).numpy()
        return np.asarray(scores @ weights, dtype=np.float32)

    def known_items_for(self, item: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Items that the model has learnt, with weights, whose mean score is that of `item`: itself, if learnt."""
        added_items, cold_rows = self.bundle.added_items, np.flatnonzero(self.cold_items.indices == item)
        if len(cold_rows):
            row = self.cold_items.weights[cold_rows[0]]
        elif added_items is None or item < added_items.n_known:
            return np.array([item]), np.ones(1, dtype=np.float32)
        else:
            row = added_items.weights[item - added_items.n_known]
        return row.indices.astype(np.int64), row.data.astype(np.float32)

    def without_added_items(self, queries: Queries) -> Queries:
        """Replace added items in histories by known ones."""
        added_items = self.bundle.added_items
        return queries if added_items is None else replace(queries, history=added_items.replace_in(queries.history))

    def with_added_items(self, counts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill in the counts (N,) of added items by the mean of the known items most similar to them."""
        added_items = self.bundle.added_items
        return counts if added_items is None else added_items.extend_scores(counts[None, : added_items.n_known])[0]

    def resolved_rules(self, rules: Rules) -> ResolvedRules:
        """Resolve rules for the catalogue; cached, as most requests come with the same ones."""
        if rules not in self._resolved_rules:
            if len(self._resolved_rules) >= _RULES_CACHED:
                self._resolved_rules.clear()
            self._resolved_rules[rules] = ResolvedRules.of(rules, self.attributes, self.bundle.items, self.likes)
        return self._resolved_rules[rules]
