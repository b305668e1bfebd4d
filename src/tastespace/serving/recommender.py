"""Recommender: a bundle that answers. No HTTP, no terminal; torch only where a network must run."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.data.dataset import find_title
from tastespace.data.queries import Queries, check_k
from tastespace.data.vocabulary import Vocabulary, plain
from tastespace.errors import OptionError, UnknownIdError
from tastespace.index import ExactIndex, IndexReport
from tastespace.index.build import LEAST_RECALL
from tastespace.serving import updates
from tastespace.serving.answer import Answer, Explanation
from tastespace.serving.bundle import Bundle, read_bundle
from tastespace.serving.explanations import explain_score
from tastespace.serving.export import bundle_of, overlap_with
from tastespace.serving.loaded_model import LoadedModel
from tastespace.serving.manifest import read_baselines
from tastespace.serving.neighbours import unit_rows
from tastespace.serving.questions import question_of_split, resolve_filter, resolve_question
from tastespace.serving.ranking import rank, score_item
from tastespace.serving.rules import Rules
from tastespace.training.baselines import BaselineComparison

if TYPE_CHECKING:
    from tastespace.training.fit import Fit

_log = logging.getLogger("tastespace")


class Recommender:
    """Recommendations from a bundle: build one from a fit, or load one from disk."""

    def __init__(self, bundle: Bundle, *, loaded: LoadedModel | None = None) -> None:
        self.bundle = bundle
        self.loaded = LoadedModel(bundle) if loaded is None else loaded

    @classmethod
    def build(
        cls, fit: "Fit", path: str | Path, *, metrics: dict[str, Any] | None = None, force: bool = False
    ) -> "Recommender":
        """Write a trained model as a bundle at `path` and load it; `metrics` go into its manifest.

        The kind of index follows from the number of items (see `reindex`). Bad embedding health is written in the
        manifest too, and raised as a warning of the logger "tastespace".
        """
        bundle = bundle_of(fit, metrics or {})
        overlap = overlap_with(Path(path), bundle) if force and Path(path).exists() else None
        bundle = replace(bundle, manifest={**bundle.manifest, "neighbourhood_overlap": overlap})
        recommender = cls(bundle).write(path, force=force)
        for warning in fit.health.warnings() if fit.health is not None else []:
            _log.warning("embedding health of %s: %s", fit.name, warning)
        return recommender

    @classmethod
    def load(cls, path: str | Path) -> "Recommender":
        """Load a bundle; `BundleError` where it or its index is missing, damaged or of another version."""
        recommender = cls(read_bundle(Path(path)))
        recommender.loaded.load_index()
        return recommender

    @classmethod
    def reindex(
        cls, path: str | Path, *, kind: str = "auto", recall: float = LEAST_RECALL, k: int = 10
    ) -> tuple["Recommender", IndexReport]:
        """Build the index of a bundle's items again and write the bundle with it, whole or not at all.

        `kind`: "exact"; "ivf", inverted lists of vectors; "pq", inverted lists of quantised codes, in a tenth of the
        memory; or "auto", exact or ivf by the number of items. The search of an approximate index is widened until its
        mean recall of the best `k` over 500 users is at least `recall`; `OptionError` where it cannot be.
        """
        report = updates.reindex(Path(path), kind=kind, recall=recall, k=k)
        return cls.load(path), report

    @property
    def baselines(self) -> BaselineComparison | None:
        """How the model compared with `item_knn` and `popularity` at training; None where that was not asked for."""
        return read_baselines(self.bundle.manifest)

    @property
    def user_vectors(self) -> NDArray[np.float32]:
        """(U, D) query vectors of the known users, in the order of `bundle.users.ids`."""
        return self._vectors("users")

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        """(N, D) item vectors, in the order of `bundle.items.ids`; inner products are scores."""
        return self._vectors("items")

    def recommend(
        self,
        user: Any = None,
        *,
        history: Sequence[Any] | None = None,
        features: Mapping[str, Any] | None = None,
        k: int = 10,
        exclude: Iterable[Any] | None = (),
        allow: Iterable[Any] | None = None,
        where: str | None = None,
        exclude_seen: bool = True,
        rules: Rules | None = None,
        reasons: bool = False,
    ) -> Answer:
        """Recommend the `k` best items to a known user, for a bare history of item ids, by attributes, or to anybody.

        `features` are attributes by name, as the training data had them; a value that they never had counts as
        missing, which the answer's `notes` say. With both `user` and `history`, the history holds newer events of
        that user. Items seen, and those of the history, are left out unless `exclude_seen` is false; those of `exclude`
        are always left out. Where `allow` is given, only its items come back; where `where` is given, only items that
        fit this condition on their attributes, such as "genres = 'Comedy' and year >= 1990" (see `data.conditions`).
        Fewer than `k` come back only where fewer are left. `rules` reorder the items that filters leave (see `Rules`);
        scores stay the model's. With `reasons` each item comes with the reasons for its score, as in `explain`. Unknown
        ids raise `UnknownIdError`, a condition that cannot be read raises `OptionError`.
        """
        items = self.bundle.items
        check_k(k, len(items))
        question = resolve_question(self.loaded, user, history, features)
        seen = question.queries.history.items.astype(np.int64) if exclude_seen else None
        item_filter = resolve_filter(self.loaded, seen=seen, exclude=exclude, allow=allow, where=where)
        ranking = rank(self.loaded, question, item_filter, k, rules)
        explained = ranking.items.tolist() if reasons else []
        return Answer(
            tuple(items.ids[ranking.items].tolist()),
            tuple(ranking.scores.tolist()),
            question.route,
            (*question.notes, *ranking.notes),
            tuple(explain_score(self.loaded, question, item)[0] for item in explained),
        )

    def with_items(self, items: Mapping[Any, Mapping[str, Any]]) -> "Recommender":
        """Return a recommender with new items by id, known by their attributes alone and recommended at once.

        Each is placed at the mean of the 10 liked items with the most similar attributes, for any model, so nothing is
        trained. This one is unchanged; `write` saves the new one. Raises `DataError` for an id that is known already,
        `OptionError` for attributes that training never had, or none at all to compare by.
        """
        extended = updates.add_items(self.loaded, items)
        return Recommender(extended.bundle, loaded=extended)

    def write(self, path: str | Path, *, force: bool = False) -> "Recommender":
        """Write the bundle at `path` and load it.

        Its index is copied while at most 20,000 items, and 5 % of all, were added after it was built: these are
        searched in full. Beyond that, and where it is exact, it is built again with the same options.
        """
        updates.write(self.loaded, Path(path), force=force)
        return self.load(path)

    def rank_query(self, query: Queries, hidden: NDArray[np.int64], k: int, rules: Rules | None) -> NDArray[np.int64]:
        """Rank up to `k` items (indices) for one query of a split, without the `hidden` ones."""
        item_filter = resolve_filter(self.loaded, seen=hidden)
        return rank(self.loaded, question_of_split(self.loaded, query), item_filter, k, rules).items

    def unit_item_vectors(self) -> NDArray[np.float32] | None:
        """(N, D) item vectors of length 1, whose inner products are cosines; None where the model has none."""
        try:
            return self.loaded.unit_item_vectors
        except OptionError:
            return None

    def explain(
        self,
        item: Any,
        user: Any = None,
        *,
        history: Sequence[Any] | None = None,
        features: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """Explain the score that `item` has in the answer of `recommend` to the same request.

        Where the score is a sum over what is known (all models with vectors and a fold-in, `ease`, `item_knn`, `ials`,
        `two_tower`), the reasons add up to it. For the others a reason is what the score loses without that item of
        the history. On the `popular` route the reason is the number of users who like the item.
        """
        index = int(self.bundle.items.index_of([item])[0])
        question = resolve_question(self.loaded, user, history, features)
        reasons, adds_up = explain_score(self.loaded, question, index)
        score = score_item(self.loaded, question, index)
        return Explanation(plain(self.bundle.items.ids[index]), score, question.route, reasons, adds_up, question.notes)

    def similar_items(self, item: Any, k: int = 10) -> Answer:
        """Find the `k` most similar items, among items that somebody liked.

        A score is the cosine of the two vectors times the evidence for the neighbour, n / (n + 1) with n users who
        like it: what next to nobody has tried comes late, however close it seems (see `serving.neighbours`).
        """
        index = int(self.bundle.items.index_of([item])[0])
        comparable = self.loaded.likes > 0
        if self.loaded.item_encoder.columns:  # items without interactions are placed by their attributes
            comparable |= np.bincount(self.bundle.histories.items, minlength=len(comparable)) == 0
        if not comparable[index]:
            raise UnknownIdError(
                f"nobody in the training data liked item {shown(item)}, so there is no taste to compare"
            )
        return self._similar(self.loaded.item_neighbour_index, index, k, comparable, self.bundle.items)

    def similar_users(self, user: Any, k: int = 10) -> Answer:
        """Find the `k` most similar users by the cosine of vectors, among users with a liked item; ids in `items`."""
        index = int(self.bundle.users.index_of([user])[0])
        active = np.diff(self.bundle.histories.positives().offsets) > 0
        if not active[index]:
            raise UnknownIdError(f"user {shown(user)} liked nothing in the training data, so their taste is unknown")
        return self._similar(self.loaded.user_neighbour_index, index, k, active, self.bundle.users)

    def find_item(self, text: str) -> Any:
        """Find an item's id by what a person typed: an id, a title, or a part of a title that fits one item."""
        bundle = self.bundle
        try:
            identifier = bundle.items.parse(text)
            bundle.items.index_of([identifier])
            return identifier
        except UnknownIdError:
            if "title" not in bundle.item_table:
                raise
        matches = bundle.items.ids[find_title(bundle.item_table, text)]
        if len(matches) > 1:
            listed = "; ".join(f"{match}: {self.label(match)}" for match in matches[:8])
            raise UnknownIdError(f"{shown(text)} fits {len(matches)} items; name one by its id: {listed}")
        return plain(matches[0])

    def label(self, item: Any) -> str:
        """An item's title and year where known, else its id."""
        row = self.describe(item)
        title = row.get("title")
        if title is None:
            return str(item)
        return f"{title} ({row['year']})" if row.get("year") is not None else str(title)

    def describe(self, item: Any) -> dict[str, Any]:
        """An item's attributes."""
        return self.bundle.item_table.row(int(self.bundle.items.index_of([item])[0]))

    def _vectors(self, name: str) -> NDArray[np.float32]:
        vectors = self.bundle.vectors.get(name)
        if vectors is None:
            raise OptionError(f"the model {self.bundle.manifest['model']} has no {name} vectors")
        return vectors

    def _similar(
        self, index: ExactIndex, row: int, k: int, candidates: NDArray[np.bool_], vocabulary: Vocabulary
    ) -> Answer:
        check_k(k, len(vocabulary), vocabulary.noun)
        neighbours = index.search(
            unit_rows(index.vectors[row : row + 1]), k, exclude=[np.array([row])], allow=candidates
        )
        filled = neighbours.indices[0] >= 0
        ids = vocabulary.ids[neighbours.indices[0][filled]]
        return Answer(tuple(ids.tolist()), tuple(neighbours.scores[0][filled].tolist()), "similar")
