"""Config files: written and read again, and hostile ones."""

from pathlib import Path

import pytest

from tastespace.errors import OptionError
from tastespace.training.config_file import ModelConfig, read_config, write_config


def test_a_config_is_read_as_it_was_written(tmp_path: Path) -> None:
    settings = {"dim": 8, "learning_rate": 1e-5, "loss": "bpr", "refit": False, "metric": "ndcg@5"}
    write_config(tmp_path / "c.toml", ModelConfig("mf", settings), comment="of a log\x1b\nand 'more' \u202e")
    assert read_config(tmp_path / "c.toml") == ModelConfig("mf", settings)
    assert "\x1b" not in (tmp_path / "c.toml").read_text()


def test_none_is_left_out(tmp_path: Path) -> None:
    write_config(tmp_path / "c.toml", ModelConfig("popularity", {"days": None}))
    assert read_config(tmp_path / "c.toml").settings == {}


def test_a_model_alone_is_enough(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('model = "ease"\n')
    assert read_config(tmp_path / "c.toml") == ModelConfig("ease", {})


MF = 'model = "mf"\n[settings]\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no model"),
        ("- a\n- b\n", "is not TOML"),
        ("[1, 2]", "is not TOML|names no model|unknown key"),
        ("model = 3", "names no model"),
        ('model = "mff"', "no model 'mff'; did you mean 'mf'"),
        ('model = "mf"\nsetting = 1', "unknown key 'setting'; did you mean 'settings'"),
        ('model = "mf"\nsettings = 1', "settings that are no table"),
        ('model = "mf"\nsettings = [1]', "settings that are no table"),
        (MF + "dimm = 8", "mf has no option 'dimm'; did you mean 'dim'"),
        (MF + "dim = 8.5", "dim is 8.5, but a whole number or 'auto' is expected"),
        (MF + "dim = true", "dim is True, but"),
        (MF + 'dim = "wide"', "dim='wide' cannot be read"),
        (MF + "dim = [8]", r"dim is \[8\], but a whole number or 'auto' is expected"),
        (MF + "dim = {a = 1}", "dim is {'a': 1}, but"),
        (MF + "dim = 2001-01-01", "dim is datetime.date"),
        (MF + "loss = []", r"loss is \[\], but"),
        (MF + "learning_rate = nan", "finite number"),
        (MF + "learning_rate = -1", "must be above 0"),
        (MF + "dim = 1\ndim = 2", "is not TOML"),
        (MF + "dim = " + "9" * 5000, "is not TOML"),
        (MF + "dim = " + "[" * 100_000, "is not TOML: "),
        (MF + "a" * 2**20, "too large for a config file"),
    ],
)
def test_a_hostile_file_is_refused_with_a_sentence(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(OptionError, match=message) as caught:
        read_config(tmp_path / "c.toml")
    assert len(str(caught.value)) < 500


def test_what_is_no_text_or_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(b"model = \xff")
    with pytest.raises(OptionError, match="is not UTF-8 text"):
        read_config(tmp_path / "c.toml")
    with pytest.raises(OptionError, match="cannot be read: No such file"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(OptionError, match="cannot be read: Is a directory"):
        read_config(tmp_path)
