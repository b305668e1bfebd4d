"""Filters: which items an answer may hold, and what is said where too few are left. Indices in, indices out."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Filter:
    """Which of `n` items may come back: those that `fits`, `fresh` (N,) and `allow` (any order) name, where given.

    What is in `exclude` or `seen` never comes back.
    """

    n: int
    exclude: Indices
    seen: Indices
    allow: Indices | None = None
    fits: Mask | None = None
    fresh: Mask | None = None

    @cached_property
    def hidden(self) -> Indices:
        """What never comes back."""
        return np.concatenate([self.exclude, self.seen])

    @cached_property
    def allowed(self) -> Mask | None:
        """(N,) what alone may come back; None where that is everything."""
        masks = [mask for mask in (self.fits, self.fresh) if mask is not None]
        if self.allow is not None:
            masks.append(_listed(self.allow, self.n))
        return np.logical_and.reduce(masks) if masks else None

    @property
    def left(self) -> Mask:
        """(N,) what may come back."""
        kept = np.ones(self.n, dtype=bool) if self.allowed is None else self.allowed.copy()
        kept[self.hidden] = False
        return kept

    def among(self, mask: Mask | None) -> "Filter":
        """The same, narrowed to the items of a mask (N,)."""
        if mask is None:
            return self
        return replace(self, fits=mask if self.fits is None else self.fits & mask)

    def applied(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) a copy of the scores, -inf where an item must not come back."""
        kept = scores.copy() if self.allowed is None else np.where(self.allowed, scores, np.float32(-np.inf))
        kept[self.hidden] = -np.inf
        return kept

    def notes(self, found: int, k: int) -> tuple[str, ...]:
        """Why an answer holds `found` items and not `k`, in one sentence; nothing where it holds `k`."""
        if found >= k:
            return ()
        told: list[str] = []
        left = np.ones(self.n, dtype=bool)
        listed = None if self.allow is None else _listed(self.allow, self.n)
        asked = ((self.fits, "fit the condition"), (listed, "are in the allow-list"), (self.fresh, "are fresh"))
        for mask, how in asked:
            if mask is not None:
                of = "of these " if told else f"of {self.n:,} items "
                left &= mask
                told.append(f"{int(left.sum()):,} {of}{how}")
        for out, how in ((self.exclude, "excluded"), (self.seen, "already seen")):
            before = int(left.sum())
            left[out] = False
            if before > left.sum():
                told.append(f"{before - int(left.sum()):,} {'of these ' if told else ''}{how}")
        return (f"{f'only {found:,}' if found else 'no'} item{'s' * (found != 1)} left: {', '.join(told)}",)


def _listed(places: Indices, n: int) -> Mask:
    found = np.zeros(n, dtype=bool)
    found[places] = True
    return found
