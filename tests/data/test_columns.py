import pytest

from tastespace.data.columns import Roles, find_role, find_roles, folded
from tastespace.errors import DataError


@pytest.mark.parametrize("name", ["user_id", "User ID", "USERID", "user-id", "user_id:token"])
def test_case_spaces_and_types_in_a_name_do_not_matter(name: str) -> None:
    assert folded(name) == "userid"


@pytest.mark.parametrize(
    ("columns", "roles"),
    [
        (["userId", "movieId", "rating", "timestamp"], Roles("userId", "movieId", "rating", "timestamp")),
        (["track", "listener"], Roles("listener", "track")),
        (["date", "asin", "reviewer_id", "stars"], Roles("reviewer_id", "asin", "stars", "date")),
        (["user", "item", "plays"], Roles("user", "item", "plays")),
        (["user_id", "session_id", "item"], Roles("user_id", "item")),
        (["user", "item", "rating", "count"], Roles("user", "item", "rating")),
    ],
)
def test_roles_are_found_by_usual_names(columns: list[str], roles: Roles) -> None:
    assert find_roles(columns, "log.csv") == roles
    assert find_roles(columns[::-1], "log.csv") == roles


def test_stated_names_win_over_usual_ones() -> None:
    found = find_roles(["user", "item", "who", "what"], "log.csv", user="who", item="what")
    assert (found.user, found.item) == ("who", "what")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            ["who", "item"],
            "log.csv has no column with a usual name for the user (its columns: 'who', 'item'); "
            "say which one with user=... (--user-column)",
        ),
        (["user"], "log.csv has no column with a usual name for the item"),
        ([], "(its columns: none)"),
        (
            ["user", "song", "track"],
            "log.csv has several columns that could be the item: 'song', 'track'; "
            "say which one with item=... (--item-column)",
        ),
        (["user", "user_id", "item"], "several columns that could be the user: 'user', 'user_id'"),
        (["user", "item", "hours", "plays"], "several columns that could be the value: 'hours', 'plays'"),
        (["user", "item", "date", "created"], "several columns that could be the time: 'date', 'created'"),
    ],
)
def test_missing_and_ambiguous_roles_are_errors(columns: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        find_roles(columns, "log.csv")
    assert message in str(caught.value)


def test_a_misspelt_stated_name_gets_the_nearest() -> None:
    with pytest.raises(DataError, match=r"log.csv has no column 'visitr'; did you mean 'visitor'"):
        find_roles(["visitor", "item"], "log.csv", user="visitr")


def test_for_one_role_the_others_may_be_ambiguous() -> None:
    assert find_role("item", ["item", "score", "stars", "user", "user_id"], "items.csv") == "item"


@pytest.mark.parametrize(("value", "rating"), [("Stars", True), ("hours", False), (None, False)])
def test_a_rating_is_known_by_its_name(value: str | None, rating: bool) -> None:
    assert Roles("user", "item", value).value_is_rating is rating
