"""Recommender: a bundle that answers. No HTTP, no terminal; torch only where a network must run."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from tastespace import config as configs
from tastespace.bundle import Bundle, describe_run, read_bundle, write_bundle
from tastespace.cold import Newcomers, People
from tastespace.data.dataset import find_title
from tastespace.data.features import Encoder, Features, Told
from tastespace.data.histories import Histories
from tastespace.data.queries import Queries, check_k
from tastespace.data.split import Split
from tastespace.data.vocabulary import Vocabulary
from tastespace.data.where import Attributes
from tastespace.errors import BundleError, DataError, LeakError, OptionError, UnknownIdError
from tastespace.filters import Filter
from tastespace.index import ExactIndex, Figures, Index, build_index
from tastespace.index.build import LEAST_RECALL
from tastespace.index.exact import best_of
from tastespace.models.fold_in import Parts, mean_of
from tastespace.reasons import Explanation, Reason, reasons_of
from tastespace.reasons import Kind as ReasonKind
from tastespace.reranking import Prepared, choose
from tastespace.rules import Rules
from tastespace.suggest import shown

if TYPE_CHECKING:
    from torch import Tensor

    from tastespace.evaluation import Report
    from tastespace.models.base import Factored, Model
    from tastespace.training import Fit

_log = logging.getLogger("tastespace")

Route = Literal["user", "folded-in", "session", "features", "popular", "similar"]
_USERS_AT_ONCE = 1024
_INDEX_VERSION = 1
_RULES_KEPT = 16  # sets of rules that stay looked up


@dataclass(frozen=True)
class Answer:
    """Ids with their scores, best first, and the route that led to them.

    Scores are the model's own (comparable within one answer), numbers of likes on the `popular` route and, for models
    that read no attributes, on the `features` route (likes of the 300 users most like the description), cosines for
    `similar`. `notes` tell what of the question could not be used, and why fewer items came back than were asked for.
    """

    items: tuple[Any, ...]
    scores: tuple[float, ...]
    route: Route
    notes: tuple[str, ...] = ()


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
        self._prepared: dict[Rules, Prepared] = {}

    @classmethod
    def build(
        cls, fit: "Fit", path: str | Path, *, metrics: dict[str, Any] | None = None, force: bool = False
    ) -> "Recommender":
        """Write a trained model as a bundle at `path` and open it; `metrics` go into its manifest.

        Items are indexed as suits their number (see `reindex`). Bad embedding health is written in the manifest too,
        and raised as a warning of the logger "tastespace".
        """
        bundle = _bundle_of(fit, metrics or {})
        overlap = _overlap_with(Path(path), bundle) if force and Path(path).exists() else None
        bundle = replace(bundle, manifest={**bundle.manifest, "overlap_with_replaced": overlap})
        cls(bundle).write(path, force=force)
        for sentence in fit.health.warnings() if fit.health is not None else []:
            _log.warning("embedding health of %s: %s", fit.name, sentence)
        return cls.load(path)

    @classmethod
    def load(cls, path: str | Path) -> "Recommender":
        """Open a bundle; `BundleError` where it is missing, damaged or of another version."""
        return cls(read_bundle(Path(path)))

    @classmethod
    def reindex(
        cls, path: str | Path, *, kind: str = "auto", recall: float = LEAST_RECALL, k: int = 10
    ) -> tuple["Recommender", Figures]:
        """Build the index of a bundle's items anew and write the bundle with it, whole or not at all.

        `kind`: "exact", "ivf", or "auto", by the number of items. An approximate one looks at so many vectors that it
        finds the share `recall` of the best `k` in the mean over 500 users; `OptionError` where it cannot.
        """
        bundle = read_bundle(Path(path))
        if "items" not in bundle.vectors:
            raise OptionError(f"the model {bundle.manifest['model']} has no vectors to index; it scores every item")
        figures = _write_indexed(Path(path), bundle, force=True, kind=kind, recall=recall, k=k)
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
        exclude: Iterable[Any] = (),
        allow: Iterable[Any] | None = None,
        where: str | None = None,
        exclude_seen: bool = True,
        rules: Rules | None = None,
    ) -> Answer:
        """The `k` best items for a known user, a bare history of item ids, a user's attributes, or just anybody.

        `features` are attributes by name, as the training data had them; a value that they never had counts as
        missing and is told in the answer's `notes`. With both `user` and `history`, the history holds newer events of
        that user. Seen items, and those of the history, are left out unless `exclude_seen` is false; `exclude` never
        comes back, and only what is in `allow` and fits `where` does, where they are given: `where` is a condition on
        item attributes such as "genres = 'Comedy' and year >= 1990" (see `data.where`). Fewer than `k` come back only
        where fewer are left. `rules` reorder what filters leave (see `Rules`); scores stay the model's. Unknown ids
        raise `UnknownIdError`, a condition that cannot be read `OptionError`.
        """
        bundle = self.bundle
        check_k(k, len(bundle.items))
        asked = self._question(user, history, features)
        seen = asked.queries.history.items.astype(np.int64) if exclude_seen else np.zeros(0, np.int64)
        filtered = self._filter(seen, exclude, allow, where)
        best, scores, notes = self._listed(asked, filtered, k, rules)
        return Answer(
            tuple(bundle.items.ids[best].tolist()), tuple(scores.tolist()), asked.route, (*asked.notes, *notes)
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
            filtered = replace(
                filtered, fits=prepared.fresh if filtered.fits is None else filtered.fits & prepared.fresh
            )
        left = filtered.left
        for searches in (prepared.searches(k), [(len(left), None)]):  # caps may ask for more candidates than a few
            parts = [self._find(asked, filtered.among(mask), min(many, len(left))) for many, mask in searches]
            places, first = np.unique(np.concatenate([part[0] for part in parts]), return_index=True)
            scores = np.concatenate([part[1] for part in parts])[first]
            order = np.lexsort((places, -scores))
            places, scores = places[order], scores[order]
            alike = self._item_space.vectors[places].astype(np.float64) if rules.mmr < 1 else None
            best, notes = choose(prepared, places, scores, k, left, alike)
            if len(best) >= min(k, int(left.sum())) or len(places) >= left.sum():
                break
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
        bundle, encoder = self.bundle, self._item_encoder
        if not encoder.columns:
            raise OptionError("the items of this bundle have no attributes, so nothing says where a new one belongs")
        vocabulary = bundle.items.extended(list(items))
        table = bundle.item_table.extended(list(items.values()))
        features = encoder.encode(table, len(vocabulary))
        before = bundle.newcomers
        n_known = len(bundle.items) if before is None else before.n_known
        late = Newcomers.of(features[:n_known], features[len(bundle.items) :], self.likes[:n_known] > 0)
        like = late.like if before is None else sp.vstack([before.like, late.like], format="csr")
        vectors = dict(bundle.vectors)
        for name in ("items", "fold"):
            if name in vectors:
                vectors[name] = np.concatenate([vectors[name], late.mean(vectors[name][:n_known])])
        manifest = {**bundle.manifest, "counts": {**bundle.manifest["counts"], "items": len(vocabulary)}}
        found = Recommender(
            replace(
                bundle,
                manifest=manifest,
                items=vocabulary,
                item_table=table,
                vectors=vectors,
                newcomers=Newcomers(like),
            )
        )
        if "items" in vectors:
            index = copy(self._index)
            index.add(vectors["items"][len(bundle.items) :])
            found._index = index
        return found

    def write(self, path: str | Path, *, force: bool = False) -> "Recommender":
        """Write the bundle at `path`, with an index of all its items built anew, and open it."""
        if "items" in self.bundle.vectors:
            _write_indexed(Path(path), self.bundle, force=force)
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
            return self._item_space.vectors
        except OptionError:
            return None

    def prepare(self, rules: Rules) -> Prepared:
        """Rules looked up in the catalogue; kept, as most questions come with the same ones."""
        if rules not in self._prepared:
            if len(self._prepared) >= _RULES_KEPT:
                self._prepared.clear()
            self._prepared[rules] = Prepared.of(rules, self._attributes, self.bundle.items, self.likes)
        return self._prepared[rules]

    def _find(self, asked: "_Question", filtered: Filter, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        counted = self._counted(asked)
        return self._best(asked.queries, filtered, k) if counted is None else _best_of(counted, filtered, k)

    def _score_of(self, asked: "_Question", place: int) -> float:
        counted = self._counted(asked)
        return self._score(asked.queries, place) if counted is None else float(counted[place])

    def _counted(self, asked: "_Question") -> NDArray[np.float32] | None:
        """(N,) likes, where they are the answer: of everybody, or of people alike; None where the model answers."""
        return self.likes.astype(np.float32) if asked.route == "popular" else asked.likes

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
        plain = _plain(self.bundle.items.ids[place])
        counted = self._counted(asked)
        if counted is not None:
            likes = float(counted[place])
            kind: ReasonKind = "popular" if asked.route == "popular" else "people"
            return Explanation(plain, likes, asked.route, (Reason(kind, None, likes),), True, asked.notes)
        parts, adds_up = self._parts(asked.queries, place), True
        if parts is None:
            parts, adds_up = self._losses(asked.queries, place), False
        met = self.bundle.items.ids[asked.queries.history.items].tolist()
        score = self._score(asked.queries, place)
        return Explanation(plain, score, asked.route, reasons_of(parts, met), adds_up, asked.notes)

    def _question(self, user: Any, history: Sequence[Any] | None, features: Mapping[str, Any] | None) -> "_Question":
        bundle = self.bundle
        check_list("history", history)
        if features is not None and not isinstance(features, Mapping):
            raise OptionError(f"features are {shown(features)}, but a mapping of names to values is expected")
        newer = bundle.items.index_of(list(history or []))
        row = int(bundle.users.index_of([user])[0]) if user is not None else -1
        past = bundle.histories.take(np.array([row])) if row >= 0 else Histories.of([[]])
        known = _extended(past, newer)
        told, notes = self._encode_features(features)
        route, query_row = self._route(row, newer, known, told is not None and told.understood)
        if self._features is not None or told is None:
            queries = Queries(np.array([query_row]), known, None if told is None else told.values)
            return _Question(queries, route, notes)
        queries = Queries(np.array([query_row]), known)
        if route == "features":
            return _Question(queries, route, notes, self._people.likes_of_the_nearest(told.values))
        unused = f"the model {bundle.manifest['model']} reads no attributes: the history alone was asked"
        return _Question(queries, route, (*notes, unused) if told.understood else notes)

    def _score(self, queries: Queries, place: int) -> float:
        vector = self._query_vector(queries)
        if vector is not None:
            return float(self.item_vectors[place] @ vector)
        return float(self._pair_scores(queries, place)[0])

    def _parts(self, queries: Queries, place: int) -> Parts | None:
        """What the score of an item is the sum of, without the network where vectors suffice; None for no such sum."""
        fold_in = self.bundle.fold_in
        if fold_in is None:
            places, weights = self._stands_for(place)
            found_each = [self._model.parts(self._known_only(queries), one) for one in places.tolist()]
            sums = [parts for parts in found_each if parts is not None]
            return mean_of(sums, weights.tolist()) if sums else None
        found = fold_in.parts_of(queries.history, self.item_vectors[place])
        return replace(found, user=self._score(queries, place) - found.total)

    def _losses(self, queries: Queries, place: int) -> Parts:
        """What the score of an item loses without each item of the history, the user's own row aside."""
        history = queries.history
        t = len(history.items)
        kept = np.tile(np.arange(t), (t + 1, 1))[~np.eye(t + 1, t, dtype=bool)]  # all but one, for each; then all
        offsets = np.concatenate([np.arange(t + 1) * (t - 1), [(t - 1) * t + t]]) if t else np.zeros(2, np.int64)
        without = Histories(history.items[kept], offsets, history.weights[kept])
        features = None if queries.features is None else np.repeat(queries.features, t + 1, axis=0)
        asked = Queries(np.full(t + 1, -1, dtype=np.int64), without, features)
        scores = self._pair_scores(asked, place).astype(np.float64)
        return Parts(scores[-1] - scores[:-1])

    def _pair_scores(self, queries: Queries, place: int) -> NDArray[np.float32]:
        """(B,) of one item, from the network."""
        import torch

        places, weights = self._stands_for(place)
        with torch.no_grad():
            items = torch.from_numpy(places).expand(len(queries), -1)
            scores = self._model.score_pairs(self._known_only(queries), items).numpy()
        return np.asarray(scores @ weights, dtype=np.float32)

    def _stands_for(self, place: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Items that the model knows, and the weights with which they stand for one: itself, unless it came later."""
        newcomers = self.bundle.newcomers
        if newcomers is None or place < newcomers.n_known:
            return np.array([place]), np.ones(1, dtype=np.float32)
        row = newcomers.like[place - newcomers.n_known]
        return row.indices.astype(np.int64), row.data.astype(np.float32)

    def _known_only(self, queries: Queries) -> Queries:
        """The same in items that the model knows."""
        newcomers = self.bundle.newcomers
        return queries if newcomers is None else replace(queries, history=newcomers.known_only(queries.history))

    def blocked(
        self, *, exclude: Iterable[Any] = (), allow: Iterable[Any] | None = None, where: str | None = None
    ) -> NDArray[np.bool_]:
        """(N,) the items that these filters of `recommend` leave to nobody."""
        filtered = self._filter(np.zeros(0, np.int64), exclude, allow, where)
        out = np.zeros(len(self.bundle.items), dtype=bool) if filtered.allowed is None else ~filtered.allowed
        out[filtered.hidden] = True
        return out

    def similar_items(self, item: Any, k: int = 10) -> Answer:
        """The `k` items whose vectors point the way `item`'s does (cosine), among items that somebody liked."""
        place = int(self.bundle.items.index_of([item])[0])
        comparable = self.likes > 0
        if self.bundle.newcomers is not None:
            comparable[self.bundle.newcomers.n_known :] = True
        if not comparable[place]:
            raise UnknownIdError(
                f"nobody in the training data liked item {shown(item)}, so nothing is known of its taste"
            )
        return self._similar(self._item_space, place, k, comparable, self.bundle.items)

    def similar_users(self, user: Any, k: int = 10) -> Answer:
        """The `k` users of the most similar taste (cosine), among users with a liked item; `.items` holds user ids."""
        place = int(self.bundle.users.index_of([user])[0])
        active = np.diff(self.bundle.histories.positives().offsets) > 0
        if not active[place]:
            raise UnknownIdError(f"user {shown(user)} liked nothing in the training data, so their taste is unknown")
        return self._similar(self._user_space, place, k, active, self.bundle.users)

    def evaluate(self, split: Split, *, k: int = 10, progress: bool | None = None) -> "Report":
        """Test this bundle's model on a split of the data that it was made from; `check_split` says on which."""
        check_k(k, len(self.bundle.items))
        self.check_split(split)
        from tastespace.evaluation import evaluate

        return evaluate(self._model.scorer(), split, k=k, progress=progress)

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
        return _plain(bundle.items.ids[found[0]])

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
        self, seen: NDArray[np.int64], exclude: Iterable[Any], allow: Iterable[Any] | None, where: str | None
    ) -> Filter:
        items = self.bundle.items
        check_list("exclude", exclude)
        check_list("allow", allow)
        return Filter(
            len(items),
            exclude=items.index_of(list(exclude)),
            seen=seen,
            allow=None if allow is None else items.index_of(list(allow)),
            fits=None if where is None else self._attributes.fitting(where),
        )

    def _encode_features(self, features: Mapping[str, Any] | None) -> tuple[Told | None, tuple[str, ...]]:
        """The attributes of a question (None: it has none), and what of them is not known."""
        if not features:
            return None, ()
        told = self._user_encoder.encode_one(features)
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

    def _best(self, queries: Queries, filtered: Filter, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Places and scores of up to `k` best items of one query, best first."""
        vector = self._query_vector(queries)
        if vector is None:
            return _best_of(self._from_network(queries)[0], filtered, k)
        found = self._index.search(vector[None, :], k, exclude=[filtered.hidden], allow=filtered.allowed)
        kept = found.indices[0] >= 0
        return found.indices[0][kept], found.scores[0][kept]

    def _query_vector(self, queries: Queries) -> NDArray[np.float32] | None:
        """(D,) of one query: from the vectors alone where they suffice, else from the network; None without vectors."""
        if "items" not in self.bundle.vectors:
            return None
        if queries.users[0] >= 0 and queries.features is None:
            return self.user_vectors[queries.users[0]]
        fold_in = self.bundle.fold_in
        if fold_in is not None:
            return fold_in(queries.history)[0]
        import torch

        with torch.no_grad():
            return cast("Factored", self._model).encode_queries(self._known_only(queries))[0].numpy()

    def _from_network(self, queries: Queries) -> NDArray[np.float32]:
        import torch

        with torch.no_grad():
            return np.asarray(self.scorer(queries).numpy(), dtype=np.float32)

    @cached_property
    def _index(self) -> Index:
        return read_index(self.bundle)

    @cached_property
    def scorer(self) -> "Callable[[Queries], Tensor]":
        """Scores (B, N) of many queries by the model itself; needs torch."""
        import torch

        with torch.no_grad():
            found = self._model.scorer()
        newcomers = self.bundle.newcomers
        if newcomers is None:
            return found
        return lambda queries: torch.from_numpy(newcomers.scored(found(self._known_only(queries)).numpy()))

    @cached_property
    def _model(self) -> "Model":
        return load_model(self.bundle, self._features)

    @cached_property
    def _features(self) -> Features | None:
        return read_features(self.bundle)

    @cached_property
    def _user_encoder(self) -> Encoder:
        if self._features is not None:
            return self._features.user_encoder
        return self._encoder_of("users")

    @cached_property
    def _item_encoder(self) -> Encoder:
        if self._features is not None:
            return self._features.item_encoder
        return self._encoder_of("items")

    def _encoder_of(self, part: str) -> Encoder:
        try:
            return Encoder.from_json(self.bundle.manifest.get("attributes", {}).get(part, []))
        except (DataError, AttributeError) as error:
            raise BundleError("the attributes in the manifest of this bundle are not valid") from error

    @cached_property
    def _people(self) -> People:
        bundle = self.bundle
        features = self._user_encoder.encode(bundle.user_table, len(bundle.users))
        return People.of(features, bundle.histories, len(bundle.items))

    @cached_property
    def _attributes(self) -> Attributes:
        return Attributes(self.bundle.item_table, len(self.bundle.items))

    @cached_property
    def likes(self) -> NDArray[np.int64]:
        """(N,) how many users of the bundle like each item."""
        liked = self.bundle.histories.positives()
        return np.bincount(liked.items, minlength=len(self.bundle.items))

    @cached_property
    def _item_space(self) -> ExactIndex:
        vectors = self._without_bias("items")
        if vectors is None:
            space = self._model.item_space()
            if space is None:
                raise OptionError(f"the model {self.bundle.manifest['model']} has no vectors to compare items by")
            vectors = space.detach().numpy()
            if self.bundle.newcomers is not None:
                vectors = self.bundle.newcomers.joined(vectors)
        return ExactIndex.build(_unit(vectors))

    @cached_property
    def _user_space(self) -> ExactIndex:
        vectors = self._without_bias("users")
        if vectors is None:
            import torch

            everyone = np.arange(len(self.bundle.users))
            parts = []
            with torch.no_grad():
                for start in range(0, len(everyone), _USERS_AT_ONCE):
                    chunk = Queries.of_users(everyone[start : start + _USERS_AT_ONCE], self.bundle.histories)
                    part = self._model.query_space(chunk)
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


def read_index(bundle: Bundle) -> Index:
    """The index of a bundle's item vectors: what was built and stored with it, else an exact one."""
    told = bundle.manifest.get("index")
    if told is None or bundle.folder is None:
        return ExactIndex.build(bundle.vectors["items"])
    if not isinstance(told, dict) or told.get("format_version") != _INDEX_VERSION:
        version = told.get("format_version") if isinstance(told, dict) else told
        raise BundleError(
            f"the index of {bundle.folder} has format version {shown(version)}; this tastespace reads version "
            f"{_INDEX_VERSION}: build it again (tastespace index {bundle.folder})"
        )
    if told.get("kind") == "exact":
        return ExactIndex.load(bundle.folder, bundle.vectors["items"])
    from tastespace.index.ivf import InvertedIndex

    return InvertedIndex.load(bundle.folder, bundle.vectors["items"])


def _write_indexed(path: Path, bundle: Bundle, *, force: bool, **how: Any) -> Figures:
    """Write a bundle with an index of its item vectors."""
    index, figures = build_index(bundle.vectors["items"], bundle.vectors["users"], **how)
    told = {"format_version": _INDEX_VERSION, **figures.to_json()}
    bundle = replace(bundle, manifest={**bundle.manifest, "index": told})
    write_bundle(path, bundle, force=force, save_index=index.save)
    return figures


def _best_of(scores: NDArray[np.float32], filtered: Filter, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    best = best_of(filtered.applied(scores), k)
    return best, scores[best]


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
    from tastespace.models.sizes import sizes_alone

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
        with sizes_alone():  # shapes alone, whatever they claim to be
            planned = cls(config, shapes).state_dict()
        if _shapes_of(planned) != _shapes_of(weights):
            raise BundleError(f"the weights of this {name} bundle do not fit its config")
        model = cls(config, shapes)
        if features is not None:
            model.describe(features)
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"the weights of this {name} bundle do not fit its config") from error
    return model.eval()


def _shapes_of(tensors: "Mapping[str, Tensor]") -> dict[str, tuple[int, ...]]:
    """By name; a single number lies on disk as an array of one."""
    return {key: tuple(tensor.shape) or (1,) for key, tensor in tensors.items()}


def _bundle_of(fit: "Fit", metrics: dict[str, Any]) -> Bundle:
    import torch

    from tastespace.models.base import Factored

    split, model = fit.split, fit.model
    histories = split.histories()
    vectors: dict[str, NDArray[np.float32]] = {}
    fold_in = None
    if isinstance(model, Factored):
        with torch.no_grad():
            everyone = np.arange(split.train.n_users)
            parts = [
                model.encode_queries(Queries.of_users(everyone[start : start + _USERS_AT_ONCE], histories))
                .cpu()
                .numpy()
                for start in range(0, len(everyone), _USERS_AT_ONCE)
            ]
            vectors = {"users": np.concatenate(parts), "items": model.encode_items().cpu().numpy()}
            fold_in = model.fold_in()
        if fold_in is not None:
            vectors["fold"] = fold_in.vectors
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
            "users": Encoder.fit(split.dataset.user_table).to_json(),
            "items": Encoder.fit(split.dataset.item_table).to_json(),
        },
        "bias_coordinates": model.n_bias if isinstance(model, Factored) else 0,
        "fold_in": None
        if fold_in is None
        else {"parts": [list(part) for part in fold_in.parts], "tail": fold_in.tail.tolist()},
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


def _overlap_with(path: Path, new: Bundle) -> float | None:
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


def _extended(past: Histories, newer: NDArray[np.int64]) -> Histories:
    """One history with newer liked items at its end."""
    items = np.concatenate([past.items, newer]).astype(np.int32)
    weights = np.concatenate([past.weights, np.ones(len(newer), np.float32)]).astype(np.float32)
    return Histories(items, np.array([0, len(items)], dtype=np.int64), weights)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(norms, 1e-12)).astype(np.float32)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
