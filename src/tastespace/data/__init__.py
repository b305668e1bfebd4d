"""From a log to arrays: reading, vocabularies, splits. No torch here."""
