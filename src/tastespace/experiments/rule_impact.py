"""Impact of business rules on quality, coverage and diversity, on the test rows of a split."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tastespace._progress import track
from tastespace.data.queries import check_k
from tastespace.data.split import Split
from tastespace.errors import OptionError
from tastespace.evaluation import Evaluator, metrics
from tastespace.experiments.bundle_evaluation import check_not_trained_on
from tastespace.serving.recommender import Recommender
from tastespace.serving.rules import Rules


@dataclass(frozen=True)
class RuleImpact:
    """Metrics of the lists under some rules ("none", "all", or those of one kind): means over users with a test row.

    `diversity` is the mean of 1 - cosine over the pairs of a list, None for models without vectors; `coverage` the
    share of the catalogue that appears in any list; `short` how many users got fewer than K items.
    """

    rules: str
    recall: float
    ndcg: float
    coverage: float
    diversity: float | None
    popularity: float
    short: int

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dict(self.__dict__)


def measure_rule_impact(
    recommender: Recommender, split: Split, rules: Rules, *, k: int = 10, progress: bool | None = None
) -> list[RuleImpact]:
    """Evaluate the lists of a bundle without rules, with all of them, and with those of each kind alone.

    Raises what `check_not_trained_on` does.
    """
    check_k(k, len(recommender.bundle.items))
    check_not_trained_on(recommender.bundle, split)
    if not rules.names:
        raise OptionError("the file holds no rule, so there is nothing to evaluate")
    evaluation = _ImpactEvaluation(recommender, split, k)
    variants = {"none": Rules(), "all": rules, **{kind: rules.only(kind) for kind in rules.names}}
    if len(rules.names) == 1:
        del variants[rules.names[0]]
    with track("evaluating rules", total=len(variants) * len(evaluation.evaluator.users), enabled=progress) as tick:
        found = []
        for place, (name, some) in enumerate(variants.items()):
            base = place * len(evaluation.evaluator.users)
            found.append(evaluation.impact(name, some, lambda done, base=base: tick(base + done)))
    return found


class _ImpactEvaluation:
    def __init__(self, recommender: Recommender, split: Split, k: int) -> None:
        self.recommender, self.split, self.k = recommender, split, k
        self.evaluator = Evaluator(split, k)
        users = self.evaluator.users
        self._queries, self._hidden = split.queries(users), split.hidden_items().take(users)
        self._relevant = split.relevant_items().take(users)
        self._directions = recommender.unit_item_vectors()

    def impact(self, name: str, rules: Rules, tick: Any) -> RuleImpact:
        users = self.evaluator.users
        lists = np.full((len(users), self.k), -1, dtype=np.int64)
        for row in range(len(users)):
            hidden = self._hidden.take(np.array([row])).items.astype(np.int64)
            ranked = self.recommender.rank_query(self._queries.take(np.array([row])), hidden, self.k, rules)
            lists[row, : len(ranked)] = ranked
            tick(row + 1)
        hits = metrics.find_hits(lists, self._relevant, self.split.train.n_items)
        n_relevant = self._relevant.lengths
        shown = lists[lists >= 0]
        return RuleImpact(
            rules=name,
            recall=float(metrics.recall(hits, n_relevant).mean()),
            ndcg=float(metrics.ndcg(hits, n_relevant).mean()),
            coverage=len(np.unique(shown)) / self.split.train.n_items,
            diversity=None if self._directions is None else _diversity(lists, self._directions),
            popularity=float(self.recommender.loaded.likes[shown].mean()) if len(shown) else 0.0,
            short=int((lists[:, -1] < 0).sum()),
        )


def _diversity(lists: NDArray[np.int64], directions: NDArray[np.float32]) -> float:
    """Mean over lists of the mean over pairs of 1 - cosine; lists of fewer than two items do not count."""
    distances = []
    for indices in lists:
        own = directions[indices[indices >= 0]].astype(np.float64)
        if len(own) > 1:
            total = float(np.square(own.sum(axis=0)).sum()) - float(np.square(own).sum())
            distances.append(1 - total / (len(own) * (len(own) - 1)))
    return float(np.mean(distances)) if distances else 0.0
