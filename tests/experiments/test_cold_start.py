"""ColdStartReport: knowing less costs more, and each way to know is measured on those that training never saw."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import tastespace as ts
from tastespace.cli import app
from tastespace.data.dataset import Dataset, Table
from tastespace.errors import OptionError, TooLittleDataError


@pytest.fixture(scope="module")
def told(board: Dataset) -> Dataset:
    """Even users like even items; attributes say which is which."""
    log = board.interactions
    kinds, moods = (np.array(["even", "odd"], dtype=object)[np.arange(n) % 2] for n in (log.n_items, log.n_users))
    return replace(board, item_table=Table({"kind": kinds}), user_table=Table({"mood": moods}))


@pytest.mark.parametrize(("name", "settings"), [("ease", {}), ("mf", {"dim": 8, "epochs": 8})])
def test_all_that_is_known_helps(told: Dataset, name: str, settings: dict[str, int]) -> None:
    found = ts.measure_cold_start(name, told, settings=settings)
    routes = [row.route for row in (*found.users, *found.items)]
    few = [f"session of {n}" for n in (1, 2, 3, 5, 10)]
    assert routes == ["warm", "session", *few, "features", "popular", "placed", "kind", "random"]
    assert min(found.of(route) for route in ("warm", "session", "features")) > 1.3 * found.of("popular")
    assert found.of("session of 1") > found.of("popular")
    assert min(found.of("placed"), found.of("kind")) > 0.8
    assert found.of("random") < 0.75
    assert found.seeds == 1
    for row in found.users:
        assert row.ndcg.low <= row.ndcg.value <= row.ndcg.high
    with pytest.raises(OptionError, match="'guess' was not measured"):
        found.of("guess")


def test_a_session_is_asked_as_the_protocol_asks(told: Dataset) -> None:
    found = ts.measure_cold_start("spectral", told, settings={"dim": 8})
    split = ts.split(told, "new-users")
    assert found.of("session") == pytest.approx(ts.evaluate(ts.train("spectral", split, dim=8)).mean("ndcg@10"))


def test_what_the_data_lack_is_not_measured(board: Dataset) -> None:
    found = ts.measure_cold_start("spectral", board, settings={"dim": 8}, k=5)
    assert found.items == ()
    assert "features" not in [row.route for row in found.users]
    assert json.loads(json.dumps(found.to_json()))["users"][0]["ndcg@5"] == found.users[0].ndcg.value


def test_seeds_are_averaged_where_there_are_any(told: Dataset) -> None:
    settings = {"dim": 4, "epochs": 2, "search": False}
    several = ts.measure_cold_start("mf", told, seeds=2, settings=settings)
    each = [ts.measure_cold_start("mf", told, settings={**settings, "seed": seed}) for seed in (0, 1)]
    for route in ("warm", "session", "placed", "random"):
        # random places differ by the number of the seed, not by the seed itself
        mean = np.mean([one.of(route) for one in each])
        assert several.of(route) == pytest.approx(mean, abs=1e-9 if route != "random" else 0.2)
    assert several.seeds == 2
    assert ts.measure_cold_start("ease", told, seeds=3).seeds == 1


def test_questions_that_make_no_sense_are_refused(told: Dataset) -> None:
    with pytest.raises(OptionError, match="seeds is 0, but at least 1 is expected"):
        ts.measure_cold_start("ease", told, seeds=0)
    with pytest.raises(OptionError, match="k is 0"):
        ts.measure_cold_start("ease", told, k=0)
    with pytest.raises(OptionError, match="ease has no option 'dim'"):
        ts.measure_cold_start("ease", told, settings={"dim": 3})


def test_a_log_of_one_user_is_too_small(told: Dataset) -> None:
    few = replace(told, interactions=told.interactions.take(told.interactions.user == 0))
    with pytest.raises(TooLittleDataError):
        ts.measure_cold_start("ease", few)


@pytest.mark.parametrize("attributes", [True, False])
def test_the_command_prints_a_row_a_route(tmp_path: pytest.TempPathFactory, attributes: bool) -> None:
    rows = [(u, i) for u in range(40) for i in range(20) if i % 2 == u % 2 and (u * 7 + i * 3) % 5]
    (tmp_path / "shop").mkdir()
    log = "\n".join(["user,item", *(f"{u},{i}" for u, i in rows)])
    (tmp_path / "shop" / "events.csv").write_text(log)
    if attributes:
        table = "\n".join(["item,kind", *(f"{i},{'even' if i % 2 == 0 else 'odd'}" for i in range(20))])
        (tmp_path / "shop" / "items.csv").write_text(table)
    asked = ["cold-start", "--data", str(tmp_path / "shop"), "--model", "ease", "--k", "3"]
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0, found.output
    assert "new users:" in found.output
    assert ("at the mean of their kind" in found.output) == attributes
    assert ("the items have no attributes" in found.output) != attributes
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"]).output)
    assert told["users"][0]["route"] == "warm"
    assert bool(told["items"]) == attributes
