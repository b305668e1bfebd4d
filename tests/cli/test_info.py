"""Commands about the program itself and its public data."""

import json

import pytest
from typer.testing import CliRunner

from tastespace.cli import app
from tastespace.data.dataset import Dataset
from tastespace.data.sources import cache_folder


@pytest.mark.films
def test_fetch_says_what_served_the_data_and_where_they_are(films: Dataset) -> None:
    folder = cache_folder() / films.name
    said = CliRunner().invoke(app, ["fetch", "ml-100k"]).stdout
    assert said.startswith("ml-100k: served by the cache")
    assert films.name in said
    found = json.loads(CliRunner().invoke(app, ["fetch", "ml-100k", "--json"]).stdout)
    assert found == {"name": "ml-100k", "folder": str(folder), "served_by": "the cache", "tried": []}
