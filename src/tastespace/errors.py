"""Every deliberate error of tastespace.

    TastespaceError
    ├── OptionError        a name, option or argument that cannot be used
    ├── DataError          a file, table or row that cannot be read as a log
    │   └── TooLittleDataError   readable, but nothing is left to train on or to test
    ├── UnknownIdError     a user, item or title that the data do not hold
    ├── LeakError          an evaluation on rows that the model was trained on
    ├── BundleError        a model directory that is missing, damaged, foreign or in the way
    ├── FetchError         a public data set that no place could serve
    ├── MemoryLimitError   a run that would not fit this machine
    ├── TimeLimitError     a run that would take longer than it may
    └── TrainingError      a training that went wrong (a loss that is not finite)

Each message is one sentence or two: what was found, what was expected, where, and what to do.
"""


class TastespaceError(Exception):
    """Root of every deliberate error."""


class OptionError(TastespaceError):
    """A name, option or argument cannot be used."""


class DataError(TastespaceError):
    """A file, table or row cannot be read as an interaction log."""


class TooLittleDataError(DataError):
    """The data can be read, but leave nothing to train on or to test."""


class UnknownIdError(TastespaceError):
    """A user, item or title is not in the data."""


class LeakError(TastespaceError):
    """The model was trained on rows that it would be tested on."""


class BundleError(TastespaceError):
    """A model directory is missing, damaged, written by another format version or in the way."""


class FetchError(TastespaceError):
    """No place could serve a public data set."""


class MemoryLimitError(TastespaceError):
    """A run would need more memory than this machine has free."""


class TimeLimitError(TastespaceError):
    """A run would take longer than it may."""


class TrainingError(TastespaceError):
    """A training went wrong."""
