import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.signals import Ratings, derive_weights
from tastespace.errors import DataError, OptionError


def _values(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)


def test_movielens_stars_by_hand() -> None:
    weight, meaning = derive_weights(_values(5, 4, 3.5, 3, 2.5, 0.5), "log", named_rating=True)
    assert weight.tolist() == [1, 1, 0, 0, -1, -1]
    assert meaning == "rating >= 4 liked, < 3 disliked"


@pytest.mark.parametrize("n", [0, 1, 2])
def test_without_a_rating_every_row_is_liked(n: int) -> None:
    assert derive_weights(None, "log", n_rows=n)[0].tolist() == [1.0] * n
    assert derive_weights(np.zeros(n, np.float32), "log")[0].tolist() == [1.0] * n


def test_ones_ignores_the_ratings() -> None:
    assert derive_weights(_values(1, 9), "log", kind="ones", named_rating=True)[0].tolist() == [1, 1]


def test_a_threshold_of_ones_own_draws_one_line() -> None:
    weight, meaning = derive_weights(_values(9, 7, 6.9), "log", like_from=7)
    assert weight.tolist() == [1, 1, -1]
    assert meaning == "rating >= 7 liked, < 7 disliked"


def test_both_thresholds_leave_neutral_between_them() -> None:
    assert derive_weights(_values(9, 6, 3), "log", like_from=8, dislike_below=5)[0].tolist() == [1, 0, -1]


@given(st.lists(st.floats(0, 5, width=32), min_size=1), st.floats(0, 5), st.floats(0, 5))
def test_a_higher_rating_never_means_less(values: list[float], one: float, other: float) -> None:
    low, high = sorted([one, other])
    weight = Ratings(like_from=high, dislike_below=low).weights(np.sort(_values(*values)), "log")
    assert bool(np.all(np.diff(weight) >= 0))
    assert set(weight.tolist()) <= {-1.0, 0.0, 1.0}


def test_thresholds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(DataError, match=r"dislike_below=5 is above like_from=4"):
        Ratings(like_from=4, dislike_below=5)


def test_a_missing_rating_is_named_by_its_row() -> None:
    with pytest.raises(DataError, match=r"log.csv: row 2 has no rating"):
        Ratings().weights(_values(1, np.nan), "log.csv")


def test_ratings_without_a_column_are_refused() -> None:
    with pytest.raises(DataError, match=r"log.csv has no rating column; say which one with value=\.\.\."):
        derive_weights(None, "log.csv", kind="ratings")


def test_another_scale_than_stars_needs_a_threshold() -> None:
    with pytest.raises(DataError, match=r"log.csv has ratings up to 10, not stars of 1 to 5; .* like_from"):
        derive_weights(_values(3, 10), "log.csv", named_rating=True)


def test_an_unknown_signal_gets_the_nearest() -> None:
    with pytest.raises(OptionError, match="signal is 'rating'; did you mean 'ratings'"):
        derive_weights(_values(3), "log.csv", kind="rating")  # type: ignore[arg-type]
