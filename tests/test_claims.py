"""The published claims: each script says what can be run, and the table says what was found."""

import importlib
import json
from dataclasses import asdict
from pathlib import Path

import claim
import pytest

from tastespace.training.fit import configure

FOLDER = Path(claim.__file__).parent
SCRIPTS = sorted(file.stem for file in FOLDER.glob("*_*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_claim_is_named_after_its_file_and_its_settings_exist(name: str) -> None:
    found = importlib.import_module(name).CLAIM
    assert found.name == name
    assert found.data in claim.DATA
    config, options = configure(found.model, found.settings)
    for key, value in found.settings.items():
        assert getattr(options if hasattr(options, key) else config, key) == value
    assert all(goal >= must for goal, must in zip(found.goal, found.must, strict=True))


def test_the_table_gives_means_over_seeds_and_leaves_out_what_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = claim.Claim("a_b", "beauty", "mf", 10, {}, (0.0, 0.3), (0.0, 0.32), "somebody: 0.25 / 0.29")
    runs = [
        {"seed": seed, "seconds": 10.0 * seed, "recall@10": [0.1 * seed, 0.05, 0.15], "ndcg@10": [0.2, 0.1, 0.3]}
        for seed in (1, 2)
    ]
    (tmp_path / "a_b.json").write_text(json.dumps({"claim": asdict(one), "runs": runs}))
    monkeypatch.setattr(claim, "RESULTS", tmp_path)
    row = claim.table().splitlines()[-1]
    assert "| 0.1500 / 0.2000 | 0.0500 to 0.1500 / 0.1000 to 0.3000 | - / 0.300 | - / 0.320 |" in row
    assert row.endswith("| 15 | 1, 2 |")
