"""Nearest names for a misspelt one."""

import difflib
from collections.abc import Iterable

_LONGEST_SHOWN = 40


def nearest(word: str, choices: Iterable[str], n: int = 3) -> list[str]:
    """The up to `n` choices most like `word`, best first, ignoring case.

    >>> nearest("populartiy", ["mf", "popularity"])
    ['popularity']
    """
    by_folded = {choice.casefold(): choice for choice in choices}
    found = difflib.get_close_matches(word.casefold()[:200], by_folded, n=n, cutoff=0.6)
    starts = [key for key in by_folded if word and key.startswith(word.casefold())]
    return [by_folded[key] for key in dict.fromkeys([*found, *starts])][:n]


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A sentence part to append to an error: nearest names, or all of a few, or nothing."""
    choices = list(choices)
    found = nearest(word, choices)
    if found:
        return f"; did you mean {' or '.join(map(repr, found))}?"
    if 0 < len(choices) <= 12:
        return f"; there are {', '.join(map(repr, choices))}"
    return ""


def shown(value: object) -> str:
    """`value` as shown in an error message: quoted, control characters escaped, cut when long.

    >>> shown("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…' (1000 characters)"
    """
    if isinstance(value, str) and len(value) > _LONGEST_SHOWN:
        return f"'{ascii(value[:_LONGEST_SHOWN])[1:-1]}…' ({len(value)} characters)"
    found = repr(value)
    return found if len(found) <= 2 * _LONGEST_SHOWN else f"{found[:_LONGEST_SHOWN]}…"
