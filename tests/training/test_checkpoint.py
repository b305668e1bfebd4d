"""Checkpoints on disk."""

from pathlib import Path

import pytest
import torch

import tastespace as ts
from tastespace.data.dataset import Dataset
from tastespace.data.split import split
from tastespace.errors import TrainingError
from tastespace.training import checkpoint


def test_resuming_from_nothing_or_rubbish_says_so(board: Dataset, tmp_path: Path) -> None:
    on = split(board, "article")
    with pytest.raises(TrainingError, match="no checkpoint"):
        ts.fit("mf", on, checkpoint=tmp_path / "none", resume=True)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "state.json").write_text("[")
    with pytest.raises(TrainingError, match="damaged"):
        ts.fit("mf", on, checkpoint=tmp_path / "bad", resume=True)


def test_a_checkpoint_survives_the_disk(tmp_path: Path) -> None:
    saved = checkpoint.Checkpoint({"a": torch.arange(3.0)}, {"epoch": 2})
    checkpoint.save_checkpoint(tmp_path / "c", saved)
    loaded = checkpoint.load_checkpoint(tmp_path / "c")
    assert loaded.state == {"epoch": 2}
    assert torch.equal(loaded.tensors["a"], saved.tensors["a"])


def test_a_checkpoint_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match=r"the checkpoint .*file/c cannot be written \(.+\)"):
        checkpoint.save_checkpoint(tmp_path / "file" / "c", checkpoint.Checkpoint({}, {}))


def test_a_state_that_is_no_mapping_is_damaged(tmp_path: Path) -> None:
    checkpoint.save_checkpoint(tmp_path / "c", checkpoint.Checkpoint({"a": torch.arange(3.0)}, {}))
    (tmp_path / "c" / "state.json").write_text("[]")
    with pytest.raises(TrainingError, match="is damaged"):
        checkpoint.load_checkpoint(tmp_path / "c")
