"""Filters: which items an answer may hold, and the note on why fewer remain than requested, on item indices."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Filter:
    """Filter of `n` items: those in `allow` (indices), `matching` and `fresh` (N,) where given, minus the hidden ones.

    `matching` is the mask of a condition; `exclude` and `seen` are hidden.
    """

    n: int
    exclude: Indices
    seen: Indices
    allow: Indices | None = None
    matching: Mask | None = None
    fresh: Mask | None = None

    @cached_property
    def hidden(self) -> Indices:
        """Indices that are never recommended."""
        return np.concatenate([self.exclude, self.seen])

    @cached_property
    def allowed(self) -> Mask | None:
        """(N,) items that allow-list, condition and freshness let through; None where all are."""
        masks = [mask for mask in (self.matching, self.fresh) if mask is not None]
        if self.allow is not None:
            masks.append(_mask_of(self.allow, self.n))
        return np.logical_and.reduce(masks) if masks else None

    @property
    def remaining(self) -> Mask:
        """(N,) items that may be recommended: allowed and not hidden."""
        remaining = np.ones(self.n, dtype=bool) if self.allowed is None else self.allowed.copy()
        remaining[self.hidden] = False
        return remaining

    def restricted_to(self, mask: Mask | None) -> "Filter":
        """Restrict the filter to the items of a mask (N,); None restricts nothing."""
        if mask is None:
            return self
        return replace(self, matching=mask if self.matching is None else self.matching & mask)

    def masked(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N,) copy of the scores, -inf for items that must not be recommended."""
        masked = scores.copy() if self.allowed is None else np.where(self.allowed, scores, np.float32(-np.inf))
        masked[self.hidden] = -np.inf
        return masked

    def notes(self, n_items: int, k: int) -> tuple[str, ...]:
        """Explain in one sentence why an answer holds `n_items` items instead of `k`; empty where it holds `k`."""
        if n_items >= k:
            return ()
        clauses: list[str] = []
        remaining = np.ones(self.n, dtype=bool)
        allow = None if self.allow is None else _mask_of(self.allow, self.n)
        limits = ((self.matching, "fit the condition"), (allow, "are in the allow-list"), (self.fresh, "are fresh"))
        for mask, clause in limits:
            if mask is not None:
                of = "of these " if clauses else f"of {self.n:,} items "
                remaining &= mask
                clauses.append(f"{int(remaining.sum()):,} {of}{clause}")
        for hidden, clause in ((self.exclude, "excluded"), (self.seen, "already seen")):
            before = int(remaining.sum())
            remaining[hidden] = False
            removed = before - int(remaining.sum())
            if removed:
                clauses.append(f"{removed:,} {'of these ' if clauses else ''}{clause}")
        count = f"only {n_items:,}" if n_items else "no"
        return (f"{count} item{'s' * (n_items != 1)} left: {', '.join(clauses)}",)


def _mask_of(indices: Indices, n: int) -> Mask:
    mask = np.zeros(n, dtype=bool)
    mask[indices] = True
    return mask
