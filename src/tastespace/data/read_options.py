"""Options that say how a log is read: columns, format, encoding, and what ratings and repeated rows mean."""

from dataclasses import dataclass
from typing import Literal, get_args

from tastespace._messages import did_you_mean, shown
from tastespace.config import check, option
from tastespace.errors import OptionError

Duplicates = Literal["error", "keep", "first", "last", "max"]
Format = Literal["csv", "tsv", "parquet", "jsonl", "lines"]


@dataclass(frozen=True)
class ReadOptions:
    """Reading options of a log, shared by `read`, `open_data` and the command line.

    >>> ReadOptions(user_column="visitor", duplicates="last").format is None
    True
    """

    user_column: str | None = option(None, "Column of the user id; usual names are recognised.")
    item_column: str | None = option(None, "Column of the item id; usual names are recognised.")
    value_column: str | None = option(None, "Column of the rating or amount.")
    time_column: str | None = option(None, "Column of the time.")
    like_from: float | None = option(None, "Lowest rating that counts as a positive (4 for stars).")
    duplicates: Duplicates = option("error", "Repeated (user, item) rows: error, keep, first, last or max.")
    format: Format | None = option(None, "csv, tsv, parquet, jsonl or lines; by default from the file's extension.")
    encoding: str = option("utf-8", "Encoding of a text file.")

    def __post_init__(self) -> None:
        for name, choices in (("duplicates", get_args(Duplicates)), ("format", get_args(Format))):
            value = getattr(self, name)
            if value not in (*choices, type(self).__dataclass_fields__[name].default):
                raise OptionError(f"{name} is {shown(value)}{did_you_mean(str(value), choices)}")
        check(self)
