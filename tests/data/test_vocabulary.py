import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tastespace.data.vocabulary import Vocabulary
from tastespace.errors import DataError, UnknownIdError

_int64 = st.integers(-(2**63), 2**63 - 1)
_ids = st.lists(_int64, max_size=20) | st.lists(st.text(), max_size=20)


@given(_ids)
def test_ids_to_indices_and_back(ids: list[int] | list[str]) -> None:
    vocabulary = Vocabulary.of(ids)
    assert vocabulary.ids[vocabulary.index_of(ids)].tolist() == ids


@given(_ids)
def test_ids_are_sorted_and_distinct(ids: list[int] | list[str]) -> None:
    assert Vocabulary.of(ids).ids.tolist() == sorted(set(ids))


@given(_ids, st.randoms())
def test_order_and_repeats_of_the_ids_do_not_matter(ids: list[int] | list[str], random: object) -> None:
    shuffled = [*ids, *ids]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert Vocabulary.of(shuffled) == Vocabulary.of(ids)


@pytest.mark.parametrize("ids", [[], [5], [5, 3], ["b", "a"], ["007", "7"]])
def test_small_vocabularies(ids: list[int] | list[str]) -> None:
    assert len(Vocabulary.of(ids)) == len(ids)


@pytest.mark.parametrize("wanted", [3, -1, 2**63, 10**30, 1.0, True, "1", None, ("a",)])
def test_anything_that_is_no_known_number_is_minus_one(wanted: object) -> None:
    assert Vocabulary.of([1, 2]).index_of([wanted], unknown="minus-one").tolist() == [-1]
    assert Vocabulary.of([]).index_of([wanted], unknown="minus-one").tolist() == [-1]


@pytest.mark.parametrize("wanted", ["c", "", "A", 1, None, b"a"])
def test_anything_that_is_no_known_text_is_minus_one(wanted: object) -> None:
    assert Vocabulary.of(["a", "b"]).index_of([wanted], unknown="minus-one").tolist() == [-1]


def test_an_unsigned_number_does_not_wrap_onto_a_negative_id() -> None:
    wanted = np.array([2**64 - 1], dtype=np.uint64)
    assert Vocabulary.of([-1]).index_of(wanted, unknown="minus-one").tolist() == [-1]


@pytest.mark.parametrize(
    ("ids", "wanted", "message"),
    [
        ([10, 20, 900], 19, "there is no user 19; nearest: 20, 10, 900"),
        ([10, 20], "x", "there is no user 'x', for example 10"),
        (["anna", "bert"], "ana", "there is no user 'ana'; nearest: 'anna'"),
        (["anna"], "zz\n", "there is no user 'zz\\n', for example 'anna'"),
        ([], 3, "there is no user 3"),
    ],
)
def test_an_unknown_id_raises_with_the_nearest(ids: list[object], wanted: object, message: str) -> None:
    with pytest.raises(UnknownIdError) as caught:
        Vocabulary.of(ids, "user").index_of([wanted])
    assert str(caught.value) == message


def test_typed_text_becomes_the_vocabularys_type() -> None:
    assert Vocabulary.of([1]).parse(" 42 ") == 42
    assert Vocabulary.of(["a"]).parse("42") == "42"


@pytest.mark.parametrize("text", ["abc", "", "1.5", "9" * 5000])
def test_text_that_is_no_number_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UnknownIdError, match=r"is no item id: ids here are whole numbers, for example 7"):
        Vocabulary.of([7]).parse(text)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (np.array([2, 1]), "item ids must be sorted and distinct"),
        (np.array([1, 1]), "item ids must be sorted and distinct"),
        (np.array([1.5]), "item ids must be a list of whole numbers or texts"),
        (np.array([[1]]), "item ids must be a list of whole numbers or texts"),
        (np.array([1, "a"], dtype=object), "item ids mix texts with other types; use one type for all"),
    ],
)
def test_a_vocabulary_cannot_be_built_wrong(ids: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Vocabulary(ids)


@pytest.mark.parametrize("ids", [[1, "a"], [None, 1], [2**70, 1], [1.5, 2.5], [[1], [2]], [True, False]])
def test_ids_of_no_single_type_are_refused(ids: list[object]) -> None:
    with pytest.raises(DataError, match="user ids mix texts with other types"):
        Vocabulary.of(ids, "user")


def test_ids_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        Vocabulary.of([1]).ids[0] = 2


def test_equal_ids_make_equal_vocabularies() -> None:
    assert Vocabulary.of([1, 2], "user") == Vocabulary.of([2, 1], "item")
    assert Vocabulary.of([1, 2]) != Vocabulary.of([1, 3])
    assert Vocabulary.of([1]) != [1]


@pytest.mark.parametrize(
    ("value", "near"), [(5, [5, 4, 6]), (-100, [0, 1, 2]), (10**12, [9, 8, 7]), ("x", []), (None, [])]
)
def test_near_numbers_are_the_closest(value: object, near: list[int]) -> None:
    assert Vocabulary.of(range(10)).near(value) == near
