"""The search space of a model follows from the declarations of its options."""

from dataclasses import dataclass
from typing import Literal

import pytest

from tastespace import models
from tastespace.config import option
from tastespace.errors import OptionError
from tastespace.training.search_space import Domain, _domains, defaults, search_space


@dataclass(frozen=True)
class Declared:
    """One option of each kind."""

    dim: int = option(64, "", usual=(16, 512))
    layers: int = option(3, "", usual=(1, 4))
    iterations: int = option(10, "", usual=(5, 60))
    rate: float = option(0.01, "", usual=(1e-4, 1e-1))
    decay: float = option(0.0, "", usual=(0, 1e-2))
    share: float = option(0.5, "", usual=(0.2, 0.8))
    neighbours: int | Literal["auto"] = option("auto", "", usual=(10, 1000))
    temperature: float | Literal["auto"] = option("auto", "", usual=(0.1, 2))
    kind: Literal["a", "b"] = option("a", "")
    flag: bool = option(False, "")
    free: int = option(3, "")
    text: str = option("x", "")


def test_ranges_are_searched_on_the_scale_that_suits_them() -> None:
    found = {domain.name: domain for domain in _domains(Declared)}
    assert found == {
        "dim": Domain("dim", 16, 512, whole=True, scale="powers of two"),
        "layers": Domain("layers", 1, 4, whole=True),
        "iterations": Domain("iterations", 5, 60, whole=True, scale="logarithmic"),
        "rate": Domain("rate", 1e-4, 1e-1, scale="logarithmic"),
        "decay": Domain("decay", 0, 1e-2),
        "share": Domain("share", 0.2, 0.8),
        "neighbours": Domain("neighbours", 10, 1000, whole=True, scale="logarithmic"),
        "temperature": Domain("temperature", 0.1, 2, scale="logarithmic"),
        "kind": Domain("kind", choices=("a", "b")),
        "flag": Domain("flag", choices=(False, True)),
    }


def test_domains_say_what_they_hold() -> None:
    dim, flag = Domain("dim", 16, 512, whole=True), Domain("flag", choices=(False, True))
    assert (str(dim), str(flag)) == ("dim 16 to 512", "flag false/true")
    assert [dim.contains(value) for value in (16, 100, 512, 15, True, "auto", None)] == [True] * 3 + [False] * 4
    assert flag.contains(True)
    assert flag.to_json() == {"choices": [False, True]}


def test_the_options_that_decide_most_are_searched_by_default() -> None:
    found = search_space("mf").domains
    assert next(iter(found)) == "loss"  # the effect of others depends on it, so it is drawn first
    assert {"dim", "learning_rate", "weight_decay", "batch_size", "negatives", "epochs", "temperature"} <= set(found)
    assert not {"seed", "device", "metric", "low_rated", "refit", "train_on_validation"} & set(found)
    assert "layers" in search_space("lightgcn").domains
    assert "epochs" not in search_space("ials").domains


@pytest.mark.parametrize("name", [name for name in models.names() if name != "popularity"])
def test_every_model_can_be_searched(name: str) -> None:
    space = search_space(name)
    assert set(space.domains) <= set(defaults(name))


def test_an_option_without_effect_is_not_searched() -> None:
    assert not {"negatives", "l2", "shared_negatives", "loss"} & set(
        search_space("mf", fixed={"loss": "softmax"}).domains
    )
    bpr = search_space("mf", fixed={"loss": "bpr"})
    assert {"negatives", "l2"} <= set(bpr.domains)
    assert not {"temperature", "sampling_exponent"} & set(bpr.domains)
    assert "sampling_exponent" in search_space("mf", fixed={"loss": "bpr", "sampling": "popularity"}).domains


def test_an_effect_may_depend_on_an_option_that_depends_on_another() -> None:
    space = search_space("mf", only=["sampling_exponent", "sampling", "loss"])
    assert list(space.domains)[-1] == "sampling_exponent"
    assert space.is_relevant("sampling_exponent", {"loss": "bpr", "sampling": "mixed"})
    assert not space.is_relevant("sampling_exponent", {"loss": "softmax", "sampling": "mixed"})
    assert not space.is_relevant("sampling_exponent", {"loss": "bpr", "sampling": "uniform"})


def test_named_options_alone_are_searched() -> None:
    assert list(search_space("popularity", only=["days"]).domains) == ["days"]
    assert list(search_space("two_tower", only=["hidden", "learn_temperature"]).domains) == [
        "hidden",
        "learn_temperature",
    ]


@pytest.mark.parametrize(
    ("name", "only", "fixed", "message"),
    [
        ("mf", ["dimm"], {}, "mf has no option 'dimm'; did you mean 'dim'"),
        ("mf", ["seed"], {}, "seed has no range to search; fix it instead"),
        ("mf", ["dim"], {"dim": 8}, "dim cannot be both searched and fixed"),
        ("mf", ["negatives"], {}, "mf has no option left to search"),
        ("ease", ["epochs"], {}, "ease has no option 'epochs'"),
        ("ease", [], {"l2": 1.0}, "ease has no option left to search"),
        ("popularity", [], {}, "name some with --only"),
    ],
)
def test_what_cannot_be_searched_is_said(name: str, only: list[str], fixed: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        search_space(name, only=only, fixed=fixed)
