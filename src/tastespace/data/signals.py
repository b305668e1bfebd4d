"""Derive weights (positive, neutral, disliked) from the values of a log (stars, hours)."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tastespace._messages import did_you_mean, shown
from tastespace.config import check, option
from tastespace.errors import DataError, OptionError

SignalKind = Literal["auto", "ratings", "ones"]
_STARS = 5.0


@dataclass(frozen=True)
class Ratings:
    """Stars to weight: at least `like` is 1, at least `dislike_below` is 0, less is -1.

    >>> Ratings().weights(np.array([5.0, 4.0, 3.5, 3.0, 1.0]), "example").tolist()
    [1.0, 1.0, 0.0, 0.0, -1.0]
    """

    like_from: float = option(4.0, "the lowest rating that counts as a positive")
    dislike_below: float = option(3.0, "ratings below this count as disliked")

    def __post_init__(self) -> None:
        check(self)
        if self.dislike_below > self.like_from:
            raise DataError(f"dislike_below={self.dislike_below} is above like_from={self.like_from}")

    def weights(self, value: NDArray[np.floating], where: str) -> NDArray[np.float32]:
        """One weight a value; a missing value raises."""
        if len(value) and bool(np.isnan(value).any()):
            raise DataError(f"{where}: row {int(np.argmax(np.isnan(value))) + 1} has no rating")
        return ((value >= self.like_from).astype(np.float32) - (value < self.dislike_below)).astype(np.float32)


def derive_weights(
    value: NDArray[np.float32] | None,
    where: str,
    *,
    kind: SignalKind = "auto",
    named_rating: bool = False,
    like_from: float | None = None,
    dislike_below: float | None = None,
    n_rows: int = 0,
) -> tuple[NDArray[np.float32], str]:
    """Derive the weights of a log, and a sentence that says how.

    `auto` reads a column named like a rating (stars up to 5) as `Ratings`, and otherwise counts every row as
    liked; ratings on another scale need `like_from`.
    """
    if kind not in get_args(SignalKind):
        raise OptionError(f"signal is {shown(kind)}{did_you_mean(str(kind), get_args(SignalKind))}")
    if kind == "ratings" or like_from is not None or (kind == "auto" and named_rating):
        if value is None:
            raise DataError(f"{where} has no rating column; say which one with value=... (--value-column)")
        if like_from is None and len(value) and float(np.nanmax(value)) > _STARS:
            raise DataError(
                f"{where} has ratings up to {np.nanmax(value):g}, not stars of 1 to 5; "
                "say from which rating on an item is liked with like_from=... (--like-from)"
            )
        like = 4.0 if like_from is None else like_from
        neutral = min(3.0, like) if like_from is None else like
        recipe = Ratings(like, neutral if dislike_below is None else dislike_below)
        return recipe.weights(
            value, where
        ), f"rating >= {recipe.like_from:g} liked, < {recipe.dislike_below:g} disliked"
    rows = n_rows if value is None else len(value)
    return np.ones(rows, dtype=np.float32), "every row liked"
