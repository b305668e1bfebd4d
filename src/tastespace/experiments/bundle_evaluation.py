"""Offline evaluation of a saved bundle, refused on rows that it was trained on."""

import numpy as np

from tastespace.cold_start import scorer_wrapper
from tastespace.data.queries import check_k
from tastespace.data.split import Split
from tastespace.errors import LeakError, OptionError
from tastespace.evaluation import Report, evaluate
from tastespace.serving.bundle import Bundle
from tastespace.serving.recommender import Recommender


def evaluate_bundle(recommender: Recommender, split: Split, *, k: int = 10, progress: bool | None = None) -> Report:
    """Test a bundle's model on a split of the data that it was made from.

    Raises what `check_not_trained_on` does.
    """
    check_k(k, len(recommender.bundle.items))
    check_not_trained_on(recommender.bundle, split)
    scorer = scorer_wrapper(split)(recommender.loaded.model.scorer())
    return evaluate(scorer, split, k=k, progress=progress)


def check_not_trained_on(bundle: Bundle, split: Split) -> None:
    """Raise `LeakError` where a test row, or any row of a user held out whole, was among the bundle's training rows.

    `OptionError` for data of other ids.
    """
    if bundle.users != split.train.users or bundle.items != split.train.items:
        raise OptionError(
            f"this bundle was made from {bundle.manifest['data']['name']} with "
            f"{len(bundle.users)} users and {len(bundle.items)} items, not from {split.dataset.name}"
        )
    trained = bundle.histories.pairs(len(bundle.items))
    advice = f"train one with --protocol {split.protocol} and evaluate that"
    test = split.test.positives()
    leaked = int(np.isin(test.pairs(), trained).sum())
    if leaked:
        raise LeakError(
            f"this model was trained on {leaked} of the {len(test)} rows that {split.protocol} would test it on; "
            f"{advice}"
        )
    given = split.given
    n_trained = 0 if given is None else len(np.unique(given.user[np.isin(given.pairs(), trained)]))
    if n_trained:
        raise LeakError(
            f"this model was trained on rows of {n_trained} of the users whom {split.protocol} holds out; {advice}"
        )
