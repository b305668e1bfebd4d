import pytest

from tastespace.data.protocols import PROTOCOLS, names, resolve_name
from tastespace.data.split import split
from tastespace.errors import OptionError
from tests.build import dataset


def test_a_name_resolves_to_itself_and_a_second_name_to_its_protocol() -> None:
    assert [resolve_name(name) for name in names()] == names()
    assert resolve_name("random-80-20") == "article"


def test_second_names_are_unique_and_no_protocol_of_their_own() -> None:
    second = [rule.second_name for rule in PROTOCOLS.values() if rule.second_name is not None]
    assert second == ["random-80-20"]
    assert not set(second) & PROTOCOLS.keys()


def test_a_split_by_the_second_name_is_the_same_split() -> None:
    data = dataset([(user, item, item % 3 - 1) for user in range(5) for item in range(9)])
    first, second = split(data, "article"), split(data, "random-80-20")
    assert second.protocol == "article"
    assert second.fingerprint() == first.fingerprint()
    assert second.for_validation().fingerprint() == first.for_validation().fingerprint()


@pytest.mark.parametrize("name", ["ready", "all", "", "Article"])
def test_a_name_that_cuts_nothing_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match=f"there is no protocol '{name}'"):
        resolve_name(name)


def test_a_misspelt_second_name_gets_the_nearest() -> None:
    with pytest.raises(OptionError, match="there is no protocol 'random-8020'; did you mean 'random-80-20'"):
        resolve_name("random-8020")
