"""Recommender: a bundle that answers. No HTTP, no terminal; torch only where a network must run."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace._messages import shown
from tastespace.cold_start import AddedItems, as_answered
from tastespace.data.dataset import find_title
from tastespace.data.features import Told
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries, check_k
from tastespace.data.split import Split
from tastespace.data.vocabulary import Vocabulary, plain
from tastespace.errors import LeakError, OptionError, UnknownIdError
from tastespace.index import ExactIndex, Figures
from tastespace.index.build import LEAST_RECALL
from tastespace.models.parts.popularity_prior import distinct_likes
from tastespace.serving.bundle import Bundle, read_bundle, write_bundle
from tastespace.serving.explanations import Explanation, Reason, reasons_of
from tastespace.serving.explanations import Kind as ReasonKind
from tastespace.serving.export import bundle_of, is_kept, overlap_with, write_indexed, write_kept
from tastespace.serving.filters import Filter
from tastespace.serving.loaded_model import LoadedModel, best_among
from tastespace.serving.reranking import Prepared, choose
from tastespace.serving.rules import Rules

if TYPE_CHECKING:
    from tastespace.evaluation import Report
    from tastespace.training.fit import Fit

_log = logging.getLogger("tastespace")

Route = Literal["user", "folded-in", "session", "features", "popular", "similar"]
_RULES_KEPT = 16  # sets of rules that stay looked up
_LITTLE = 3  # likes of a stranger, up to which a note says that popularity counts (see `models.evidence`)


@dataclass(frozen=True)
class Answer:
    """Ids with their scores, best first, and the route that led to them.

    Scores are the model's own (comparable within one answer), numbers of likes on the routes `popular` and `features`
    (there of the 300 users most like the description, or of a third of few), cosines for `similar`. `notes` tell what
    of the question could not be used, that little is known of who asks, and why fewer items came back than were asked
    for. `reasons`, where they were asked for, say for each item what its score is made of, the strongest first.
    """

    items: tuple[Any, ...]
    scores: tuple[float, ...]
    route: Route
    notes: tuple[str, ...] = ()
    reasons: tuple[tuple[Reason, ...], ...] = ()


@dataclass(frozen=True, eq=False)
class _Question:
    """One query as the model is asked, the route of its answer, and what of it could not be used."""

    queries: Queries
    route: Route
    notes: tuple[str, ...]
    likes: NDArray[np.float32] | None = None  # (N,) counted instead of scored: of people alike


class Recommender:
    """Answers from a bundle: build one from a fit, or load one from disk."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.loaded = LoadedModel(bundle)
        self._prepared: dict[Rules, Prepared] = {}

    @classmethod
    def build(
        cls, fit: "Fit", path: str | Path, *, metrics: dict[str, Any] | None = None, force: bool = False
    ) -> "Recommender":
        """Write a trained model as a bundle at `path` and open it; `metrics` go into its manifest.

        Items are indexed as suits their number (see `reindex`). Bad embedding health is written in the manifest too,
        and raised as a warning of the logger "tastespace".
        """
        bundle = bundle_of(fit, metrics or {})
        overlap = overlap_with(Path(path), bundle) if force and Path(path).exists() else None
        bundle = replace(bundle, manifest={**bundle.manifest, "overlap_with_replaced": overlap})
        written = cls(bundle).write(path, force=force)
        for sentence in fit.health.warnings() if fit.health is not None else []:
            _log.warning("embedding health of %s: %s", fit.name, sentence)
        return written

    @classmethod
    def load(cls, path: str | Path) -> "Recommender":
        """Open a bundle; `BundleError` where it is missing, damaged or of another version, its index too."""
        found = cls(read_bundle(Path(path)))
        found.loaded.open_index()
        return found

    @classmethod
    def reindex(
        cls, path: str | Path, *, kind: str = "auto", recall: float = LEAST_RECALL, k: int = 10
    ) -> tuple["Recommender", Figures]:
        """Build the index of a bundle's items anew and write the bundle with it, whole or not at all.

        `kind`: "exact"; "ivf", lists of vectors; "pq", lists of short codes, a tenth of the memory; "hnsw", a graph; or
        "auto", exact or lists by the number of items. An approximate one looks at so many vectors that it finds the
        share `recall` of the best `k` in the mean over 500 users; `OptionError` where it cannot.
        """
        bundle = read_bundle(Path(path))
        if "items" not in bundle.vectors:
            raise OptionError(f"the model {bundle.manifest['model']} has no vectors to index; it scores every item")
        figures = write_indexed(Path(path), bundle, force=True, kind=kind, recall=recall, k=k)
        return cls.load(path), figures

    @property
    def user_vectors(self) -> NDArray[np.float32]:
        """(U, D) query vectors of the known users, in the order of `bundle.users.ids`."""
        return self._table("users")

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        """(N, D) item vectors, in the order of `bundle.items.ids`; inner products are scores."""
        return self._table("items")

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
        """The `k` best items for a known user, a bare history of item ids, a user's attributes, or just anybody.

        `features` are attributes by name, as the training data had them; a value that they never had counts as
        missing and is told in the answer's `notes`. With both `user` and `history`, the history holds newer events of
        that user. Seen items, and those of the history, are left out unless `exclude_seen` is false; `exclude` never
        comes back, and only what is in `allow` and fits `where` does, where they are given: `where` is a condition on
        item attributes such as "genres = 'Comedy' and year >= 1990" (see `data.where`). Fewer than `k` come back only
        where fewer are left. `rules` reorder what filters leave (see `Rules`); scores stay the model's. With `reasons`
        each item comes with why it has its score, as `explain` tells. Unknown ids raise `UnknownIdError`, a condition
        that cannot be read `OptionError`.
        """
        bundle = self.bundle
        check_k(k, len(bundle.items))
        asked = self._question(user, history, features)
        seen = asked.queries.history.items.astype(np.int64) if exclude_seen else np.zeros(0, np.int64)
        filtered = self._filter(seen, exclude, allow, where)
        best, scores, notes = self._listed(asked, filtered, k, rules)
        told = tuple(self._reasons(asked, place)[0] for place in best.tolist()) if reasons else ()
        return Answer(
            tuple(bundle.items.ids[best].tolist()), tuple(scores.tolist()), asked.route, (*asked.notes, *notes), told
        )

    def _listed(
        self, asked: "_Question", filtered: Filter, k: int, rules: Rules | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], tuple[str, ...]]:
        """Places and scores of an answer, and why it is short or breaks a rule."""
        if rules is None or not rules.names:
            best, scores = self._find(asked, filtered, k)
            return best, scores, filtered.notes(len(best), k)
        prepared = self.prepare(rules)
        if prepared.fresh is not None:
            filtered = replace(filtered, fresh=prepared.fresh)
        left = filtered.left
        for searches in (prepared.searches(k), [(len(left), None)]):  # caps may ask for more candidates than a few
            parts = [self._find(asked, filtered.among(mask), min(many, len(left))) for many, mask in searches]
            places, first = np.unique(np.concatenate([part[0] for part in parts]), return_index=True)
            scores = np.concatenate([part[1] for part in parts])[first]
            order = np.lexsort((places, -scores))
            places, scores = places[order], scores[order]
            directions = self.loaded.item_embeddings.vectors if rules.mmr < 1 else None
            choice = choose(prepared, places, scores, k, left, directions)
            if not choice.short or len(places) >= left.sum():
                break
        best, notes = choice.places, choice.notes
        known = dict(zip(places.tolist(), scores.tolist(), strict=True))
        told = [known[place] if place in known else self._score_of(asked, place) for place in best.tolist()]
        return best, np.array(told, dtype=np.float32), (*filtered.notes(int(left.sum()), k), *notes)

    def with_items(self, items: Mapping[Any, Mapping[str, Any]]) -> "Recommender":
        """The same with new items by id, of which attributes alone are known; they can come back at once.

        Each stands where the mean of the 10 liked items with the most similar attributes stands, for any model, so
        nothing is trained. This one is unchanged; `write` keeps the new one. Raises `DataError` for an id that is
        known already, `OptionError` for attributes that training never had, or none at all to compare by.
        """
        if not isinstance(items, Mapping) or not all(isinstance(told, Mapping) for told in items.values()):
            raise OptionError("new items are a mapping of ids to mappings of attributes")
        bundle, encoder = self.bundle, self.loaded.item_encoder
        if not encoder.columns:
            raise OptionError("the items of this bundle have no attributes, so nothing says where a new one belongs")
        vocabulary = bundle.items.extended(list(items))
        table = bundle.item_table.extended(list(items.values()))
        before, n_known = bundle.added_items, bundle.n_known
        new = encoder.encode(table.tail(len(bundle.items)), len(vocabulary) - len(bundle.items))
        late = AddedItems.of(self.loaded.item_features, new, self.loaded.likes[:n_known])
        like = late.like if before is None else sp.vstack([before.like, late.like], format="csr")
        manifest = {key: value for key, value in bundle.manifest.items() if key not in ("files", "index")}
        manifest["counts"] = {**bundle.manifest["counts"], "items": len(vocabulary)}
        manifest["index_asked"] = bundle.manifest.get("index_asked", {})
        vectors, index = dict(bundle.vectors), None
        if "fold" in vectors:
            vectors["fold"] = np.concatenate([vectors["fold"], late.mean(vectors["fold"][:n_known])])
        if "items" in vectors:
            index = copy(self.loaded.index)
            index.add(late.mean(vectors["items"][:n_known]))
            vectors["items"] = index.vectors  # one copy of them, not two
            if index.kind != "exact":
                manifest["index"] = {**bundle.manifest["index"], "overlay": index.overlay}
        found = Recommender(
            replace(
                bundle,
                manifest=manifest,
                items=vocabulary,
                item_table=table,
                vectors=vectors,
                added_items=AddedItems(like),
            )
        )
        found.loaded.item_features = self.loaded.item_features
        if index is not None:
            found.loaded.index = index
        return found

    def write(self, path: str | Path, *, force: bool = False) -> "Recommender":
        """Write the bundle at `path` and open it.

        Its index is copied while at most 20,000 items, and 5 % of all, came after it was built: these are searched in
        full. Beyond, and where it is exact, it is built anew, as it was asked for.
        """
        if "items" in self.bundle.vectors and is_kept(self.loaded.index):
            write_kept(Path(path), self.bundle, self.loaded.index, force=force)
        elif "items" in self.bundle.vectors:
            write_indexed(Path(path), self.bundle, force=force, **self.bundle.manifest.get("index_asked", {}))
        else:
            write_bundle(Path(path), self.bundle, force=force)
        return self.load(path)

    def listed(self, query: Queries, hidden: NDArray[np.int64], k: int, rules: Rules | None) -> NDArray[np.int64]:
        """Up to `k` item indices for one query of a split, without the `hidden` ones."""
        filtered = Filter(len(self.bundle.items), exclude=np.zeros(0, np.int64), seen=hidden)
        route: Route = "session" if (query.history.weights > 0).any() else "popular"
        return self._listed(_Question(query, route, ()), filtered, k, rules)[0]

    def item_directions(self) -> NDArray[np.float32] | None:
        """(N, D) vectors of length 1 whose products say how alike items are; None where the model has none."""
        try:
            return self.loaded.item_embeddings.vectors
        except OptionError:
            return None

    def prepare(self, rules: Rules) -> Prepared:
        """Rules looked up in the catalogue; kept, as most questions come with the same ones."""
        if rules not in self._prepared:
            if len(self._prepared) >= _RULES_KEPT:
                self._prepared.clear()
            self._prepared[rules] = Prepared.of(rules, self.loaded.attributes, self.bundle.items, self.loaded.likes)
        return self._prepared[rules]

    def _find(self, asked: "_Question", filtered: Filter, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        counted = self._counted(asked)
        return self.loaded.best(asked.queries, filtered, k) if counted is None else best_among(counted, filtered, k)

    def _score_of(self, asked: "_Question", place: int) -> float:
        counted = self._counted(asked)
        return self.loaded.score(asked.queries, place) if counted is None else float(counted[place])

    def _counted(self, asked: "_Question") -> NDArray[np.float32] | None:
        """(N,) likes, where they are the answer: of everybody, or of people alike; None where the model answers."""
        if asked.route == "popular":
            return self.popular()
        return None if asked.likes is None else self._with_newcomers(asked.likes)

    def popular(self) -> NDArray[np.float32]:
        """(N,) how many users like each item; of new ones, the mean of those most like them."""
        return self._with_newcomers(self.loaded.likes.astype(np.float32))

    def _with_newcomers(self, counted: NDArray[np.float32]) -> NDArray[np.float32]:
        added_items = self.bundle.added_items
        return counted if added_items is None else added_items.scored(counted[None, : added_items.n_known])[0]

    def explain(
        self,
        item: Any,
        user: Any = None,
        *,
        history: Sequence[Any] | None = None,
        features: Mapping[str, Any] | None = None,
    ) -> Explanation:
        """Why `item` has its score for the one who asks, as `recommend` would be asked.

        Where the score is a sum over what is known (all models with vectors and a fold-in, `ease`, `item_knn`, `ials`,
        `two_tower`), the reasons add up to it. For the others a reason is what the score loses without that item of
        the history. On the `popular` route the reason is how many users like the item.
        """
        place = int(self.bundle.items.index_of([item])[0])
        asked = self._question(user, history, features)
        reasons, adds_up = self._reasons(asked, place)
        identifier, score = plain(self.bundle.items.ids[place]), self._score_of(asked, place)
        return Explanation(identifier, score, asked.route, reasons, adds_up, asked.notes)

    def _reasons(self, asked: "_Question", place: int) -> tuple[tuple[Reason, ...], bool]:
        """Why an item has its score, the strongest reason first, and whether they add up to it."""
        counted = self._counted(asked)
        if counted is not None:
            kind: ReasonKind = "popular" if asked.route == "popular" else "people"
            return (Reason(kind, None, float(counted[place])),), True
        parts, adds_up = self.loaded.parts(asked.queries, place), True
        if parts is None:
            parts, adds_up = self.loaded.losses(asked.queries, place), False
        met = self.bundle.items.ids[asked.queries.history.items].tolist()
        return reasons_of(parts, met), adds_up

    def _question(self, user: Any, history: Sequence[Any] | None, features: Mapping[str, Any] | None) -> "_Question":
        bundle = self.bundle
        check_list("history", history)
        if features is not None and not isinstance(features, Mapping):
            raise OptionError(f"features are {shown(features)}, but a mapping of names to values is expected")
        newer = bundle.items.index_of([] if history is None else list(history))
        row = int(bundle.users.index_of([user])[0]) if user is not None else -1
        past = bundle.histories.take(np.array([row])) if row >= 0 else Histories.of([[]])
        known = _extended(past, newer)
        told, notes = self._encode_features(features)
        route, query_row = self._route(row, newer, known, told is not None and told.understood)
        queries = Queries(np.array([query_row]), known)
        if told is not None and route == "features":
            return _Question(queries, route, notes, self.loaded.people.likes_of_the_nearest(told.values))
        likes = int(distinct_likes(known)[0]) if query_row < 0 else 0
        if 0 < likes <= _LITTLE:
            liked = f"{likes} like is" if likes == 1 else f"{likes} likes are"
            notes = (*notes, f"{liked} little to go by, so what everybody likes counts too")
        if told is None:
            return _Question(queries, route, notes)
        if self.loaded.features is not None:
            return _Question(replace(queries, features=told.values), route, notes)
        unused = f"the model {bundle.manifest['model']} reads no attributes: the history alone was asked"
        return _Question(queries, route, (*notes, unused) if told.understood else notes)

    def blocked(
        self, *, exclude: Iterable[Any] | None = (), allow: Iterable[Any] | None = None, where: str | None = None
    ) -> NDArray[np.bool_]:
        """(N,) the items that these filters of `recommend` leave to nobody."""
        return ~self._filter(np.zeros(0, np.int64), exclude, allow, where).left

    def similar_items(self, item: Any, k: int = 10) -> Answer:
        """The `k` items whose vectors point the way `item`'s does (cosine), among items that somebody liked."""
        place = int(self.bundle.items.index_of([item])[0])
        comparable = self.loaded.likes > 0
        if self.loaded.item_encoder.columns:  # what nobody met stands where its attributes place it
            comparable |= np.bincount(self.bundle.histories.items, minlength=len(comparable)) == 0
        if not comparable[place]:
            raise UnknownIdError(
                f"nobody in the training data liked item {shown(item)}, so nothing is known of its taste"
            )
        return self._similar(self.loaded.item_embeddings, place, k, comparable, self.bundle.items)

    def similar_users(self, user: Any, k: int = 10) -> Answer:
        """The `k` users of the most similar taste (cosine), among users with a liked item; `.items` holds user ids."""
        place = int(self.bundle.users.index_of([user])[0])
        active = np.diff(self.bundle.histories.positives().offsets) > 0
        if not active[place]:
            raise UnknownIdError(f"user {shown(user)} liked nothing in the training data, so their taste is unknown")
        return self._similar(self.loaded.user_embeddings, place, k, active, self.bundle.users)

    def evaluate(self, split: Split, *, k: int = 10, progress: bool | None = None) -> "Report":
        """Test this bundle's model on a split of the data that it was made from; `check_split` says on which."""
        check_k(k, len(self.bundle.items))
        self.check_split(split)
        from tastespace.evaluation import evaluate

        return evaluate(as_answered(split)(self.loaded.model.scorer()), split, k=k, progress=progress)

    def check_split(self, split: Split) -> None:
        """Raise `LeakError` where a test row, or any row of a user held out whole, was among the training rows.

        `OptionError` for data of other ids.
        """
        bundle = self.bundle
        if bundle.users != split.train.users or bundle.items != split.train.items:
            raise OptionError(
                f"this bundle was made from {bundle.manifest['data']['name']} with "
                f"{len(bundle.users)} users and {len(bundle.items)} items, not from {split.dataset.name}"
            )
        trained = bundle.histories.pairs(len(bundle.items))
        train_one = f"train one with --protocol {split.protocol} and evaluate that"
        test = split.test.positives()
        leaked = int(np.isin(test.pairs(), trained).sum())
        if leaked:
            raise LeakError(
                f"this model was trained on {leaked} of the {len(test)} rows that {split.protocol} would test it on; "
                f"{train_one}"
            )
        met = 0 if split.given is None else len(np.unique(split.given.user[np.isin(split.given.pairs(), trained)]))
        if met:
            raise LeakError(
                f"this model was trained on rows of {met} of the users whom {split.protocol} holds out; {train_one}"
            )

    def find_item(self, text: str) -> Any:
        """An item's id from what a person typed: an id, a title, or a part of a title that fits one item."""
        bundle = self.bundle
        try:
            identifier = bundle.items.parse(text)
            bundle.items.index_of([identifier])
            return identifier
        except UnknownIdError:
            if "title" not in bundle.item_table:
                raise
        found = find_title(bundle.item_table, text)
        if len(found) > 1:
            listed = "; ".join(
                f"{bundle.items.ids[place]}: {self.label(bundle.items.ids[place])}" for place in found[:8]
            )
            raise UnknownIdError(f"{shown(text)} fits {len(found)} items; name one by its id: {listed}")
        return plain(bundle.items.ids[found[0]])

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

    def _filter(
        self, seen: NDArray[np.int64], exclude: Iterable[Any] | None, allow: Iterable[Any] | None, where: str | None
    ) -> Filter:
        items = self.bundle.items
        check_list("exclude", exclude)
        check_list("allow", allow)
        return Filter(
            len(items),
            exclude=items.index_of([] if exclude is None else list(exclude)),
            seen=seen,
            allow=None if allow is None else items.index_of(list(allow)),
            fits=None if where is None else self.loaded.attributes.fitting(where),
        )

    def _encode_features(self, features: Mapping[str, Any] | None) -> tuple[Told | None, tuple[str, ...]]:
        """The attributes of a question (None: it has none), and what of them is not known."""
        if not features:
            return None, ()
        told = self.loaded.user_encoder.encode_one(features)
        return told, tuple(
            f"the training data never had {shown(value)} as {name}: it counts as missing"
            for name, values in told.unknown.items()
            for value in values
        )

    def _route(self, row: int, newer: NDArray[np.int64], known: Histories, described: bool) -> tuple[Route, int]:
        """Which way to answer, and the user row to ask with (-1: from history and features alone)."""
        if not bool(np.any(known.weights > 0)):
            return ("features" if described else "popular"), -1
        if row < 0:
            return "session", -1
        return ("folded-in", -1) if len(newer) else ("user", row)

    def _table(self, name: str) -> NDArray[np.float32]:
        vectors = self.bundle.vectors.get(name)
        if vectors is None:
            raise OptionError(f"the model {self.bundle.manifest['model']} has no {name} vectors")
        return vectors

    def _similar(
        self, space: ExactIndex, place: int, k: int, candidates: NDArray[np.bool_], vocabulary: Vocabulary
    ) -> Answer:
        ids = vocabulary.ids
        check_k(k, len(ids), vocabulary.noun)
        found = space.search(space.vectors[place : place + 1], k, exclude=[np.array([place])], allow=candidates)
        kept = found.indices[0] >= 0
        return Answer(tuple(ids[found.indices[0][kept]].tolist()), tuple(found.scores[0][kept].tolist()), "similar")


def check_list(name: str, listed: object) -> None:
    """Raise `OptionError` for what is given in place of a list of ids."""
    if listed is not None and (isinstance(listed, str) or not isinstance(listed, Iterable)):
        raise OptionError(f"{name} is {shown(listed)}, but a list of item ids is expected")


def _extended(past: Histories, newer: NDArray[np.int64]) -> Histories:
    """One history with newer liked items at its end."""
    if len(newer) == 0:
        return past
    items = np.concatenate([past.items, newer]).astype(np.int32)
    weights = np.concatenate([past.weights, np.ones(len(newer), np.float32)]).astype(np.float32)
    return Histories(items, np.array([0, len(items)], dtype=np.int64), weights)
