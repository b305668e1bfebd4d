"""Resolve log rows that repeat a (user, item) pair."""

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.data.interactions import Interactions
from tastespace.data.read_options import Duplicates
from tastespace.errors import DataError, OptionError


def resolve_duplicates(log: Interactions, policy: Duplicates, where: str) -> Interactions:
    """Return the log with at most one row a (user, item), or as it is for `keep`.

    `first` and `last` go by time (file order where there is none), `max` by weight, then value; rows stay in
    file order. `error` raises `DataError` if any pair repeats.
    """
    if policy not in get_args(Duplicates):
        raise OptionError(f"duplicates is {shown(policy)}{did_you_mean(str(policy), get_args(Duplicates))}")
    if policy == "keep" or len(log) == 0:
        return log
    pairs = log.pairs()
    if policy == "error":
        _refuse_repeats(log, pairs, where)
        return log
    rows = np.arange(len(log))
    if policy == "max":
        order = np.lexsort((-rows, log.value, log.weight, pairs))
    else:
        time = np.zeros(len(log)) if log.time is None else log.time
        order = np.lexsort((rows, time, pairs))
    grouped = pairs[order]
    edge = grouped[1:] != grouped[:-1]
    first_of_pair = np.concatenate([[True], edge])
    chosen = first_of_pair if policy == "first" else np.concatenate([edge, [True]])
    return log.take(np.sort(order[chosen]))


def _refuse_repeats(log: Interactions, pairs: NDArray[np.int64], where: str) -> None:
    cells = log.n_users * log.n_items
    if cells <= 8 * len(pairs):  # a dense log: counting is cheaper than sorting
        repeats = len(pairs) - int(np.count_nonzero(np.bincount(pairs, minlength=cells)))
    else:
        ordered = np.sort(pairs)
        repeats = int(np.count_nonzero(ordered[1:] == ordered[:-1]))
    if repeats == 0:
        return
    order = np.argsort(pairs, kind="stable")
    again = order[1:][pairs[order][1:] == pairs[order][:-1]].min()
    user, item = log.users.ids[log.user[again]], log.items.ids[log.item[again]]
    raise DataError(
        f"{where} repeats a (user, item) pair in {repeats} rows, first in row {again + 1} "
        f"(user {shown(user if log.users.is_text else int(user))}, "
        f"item {shown(item if log.items.is_text else int(item))}); say what a repeat means with duplicates=... "
        "(--duplicates): last, first or max keep one row a pair, keep keeps them all"
    )
