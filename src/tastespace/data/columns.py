"""Column roles: recognise the user, item, value and time columns of a log by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tastespace._messages import did_you_mean, shown
from tastespace.errors import DataError

Role = Literal["user", "item", "value", "time"]

# Usual names, compared without case, spaces, underscores, hyphens or a ":type" suffix.
_USUAL: dict[Role, frozenset[str]] = {
    "user": frozenset(
        "user userid uid customer customerid visitor visitorid session sessionid account accountid member memberid "
        "reviewer reviewerid player playerid listener listenerid reader readerid client clientid".split()
    ),
    "item": frozenset(
        "item itemid iid movie movieid film filmid product productid parentasin asin sku article articleid song "
        "songid track trackid artist artistid game gameid book bookid isbn video videoid business businessid "
        "content contentid news newsid".split()
    ),
    "value": frozenset(
        "rating ratings stars star score overall value weight hours plays playcount count quantity".split()
    ),
    "time": frozenset(
        "time timestamp ts datetime date unixtime unixreviewtime eventtime createdat created epoch".split()
    ),
}
RATING_NAMES = frozenset("rating ratings stars star score overall".split())


@dataclass(frozen=True)
class Roles:
    """Column names by role; value and time may be missing."""

    user: str
    item: str
    value: str | None = None
    time: str | None = None

    @property
    def value_is_rating(self) -> bool:
        """Whether the value column is named like a rating."""
        return self.value is not None and folded(self.value) in RATING_NAMES


def folded(name: str) -> str:
    """Return a column name as it is compared with the usual ones.

    >>> folded("User_ID:token")
    'userid'
    """
    return "".join(c for c in name.split(":", maxsplit=1)[0].casefold() if c not in " _-")


def find_roles(
    columns: Sequence[str],
    where: str,
    *,
    user: str | None = None,
    item: str | None = None,
    value: str | None = None,
    time: str | None = None,
) -> Roles:
    """Return the column of each role: as stated, else by its usual name, never by its position.

    `where` names the file in errors.
    """
    return Roles(
        user=find_role("user", columns, where, user),
        item=find_role("item", columns, where, item),
        value=_find("value", columns, where, value),
        time=_find("time", columns, where, time),
    )


def find_role(role: Role, columns: Sequence[str], where: str, stated: str | None = None) -> str:
    """Return the column of one role; `DataError` where there is none."""
    column = _find(role, columns, where, stated)
    if column is None:
        names = ", ".join(shown(name) for name in columns[:12]) or "none"
        raise DataError(
            f"{where} has no column with a usual name for the {role} (its columns: {names}); "
            f"say which one with {role}=... (--{role}-column)"
        )
    return column


def _find(role: Role, columns: Sequence[str], where: str, stated: str | None) -> str | None:
    if stated is not None:
        if stated not in columns:
            raise DataError(f"{where} has no column {shown(stated)}{did_you_mean(stated, columns)}")
        return stated
    matching = [name for name in columns if folded(name) in _USUAL[role]]
    exact = [name for name in matching if folded(name) in (role, f"{role}id", "rating", "timestamp")]
    if len(matching) > 1 and len(exact) != 1:
        raise DataError(
            f"{where} has several columns that could be the {role}: {', '.join(map(shown, matching))}; "
            f"say which one with {role}=... (--{role}-column)"
        )
    candidates = exact if len(matching) > 1 else matching
    return candidates[0] if candidates else None
