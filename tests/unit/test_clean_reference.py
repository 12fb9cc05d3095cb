"""Re-referencing against means taken by hand."""

import numpy as np
import pytest

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import reference

NAMES = ["Fz", "Cz", "Pz", "M1", "M2", "Tp9", "TP10"]


@pytest.fixture
def x(rng):
    return rng.standard_normal((len(NAMES), 50))


def test_the_average_leaves_no_mean(x):
    y, used = reference.apply(x, NAMES, "average")
    assert used == "average"
    np.testing.assert_allclose(y, x - x.mean(axis=0), atol=1e-14)


def test_bad_channels_that_were_not_replaced_are_referenced_but_not_part_of_the_mean(x):
    y, used = reference.apply(x, NAMES, "average", ["Cz"])
    assert used == "average"
    np.testing.assert_allclose(y, x - np.delete(x, 1, axis=0).mean(axis=0), atol=1e-14)
    y, used = reference.apply(x, NAMES, ["Fz", "Cz"], ["Cz"])
    assert used == ["Fz"] and np.abs(y[0]).max() == 0


def test_none_keeps_the_reference(x):
    y, used = reference.apply(x, NAMES, None)
    assert y is x and used is None


def test_named_channels_are_subtracted_by_their_mean(x):
    y, used = reference.apply(x, NAMES, ["Fz", "Pz"])
    assert used == ["Fz", "Pz"]
    np.testing.assert_allclose(y, x - (x[0] + x[2]) / 2, atol=1e-14)


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (NAMES, ["M1", "M2"]),
        (["Fz", "tp9", "Tp10", "A1", "A2"], ["tp9", "Tp10"]),
        (["Fz", "M1", "A2", "TP9", "TP10"], ["TP9", "TP10"]),  # half a pair is none
        (["a1", "A2", "Fz"], ["a1", "A2"]),
    ],
)
def test_mastoids_are_the_first_whole_pair_whatever_its_case(names, pair, rng):
    x = rng.standard_normal((len(names), 20))
    y, used = reference.apply(x, names, "mastoids")
    assert used == pair
    np.testing.assert_allclose(y, x - x[[names.index(name) for name in pair]].mean(axis=0), atol=1e-14)


@pytest.mark.parametrize(
    ("names", "looked"),
    [
        (["Fz", "Cz", "M1", "TP10"], "M1 and M2, TP9 and TP10, A1 and A2, of which the recording has none whole"),
        ([f"E{number}" for number in range(1, 129)], "none whole: name the reference channels"),
        # of a BioSemi cap A1 and A2 are no ear lobes
        ([f"{bank}{number}" for bank in "ABCD" for number in range(1, 33)], "M1 and M2, TP9 and TP10, of which"),
    ],
)
def test_a_recording_without_mastoids_is_a_fault_that_says_what_was_looked_for(names, looked):
    with pytest.raises(Fault, match=looked) as fault:
        reference.apply(np.zeros((len(names), 5)), names, "mastoids")
    assert fault.value.code == "missing-channel"


def test_a_mastoid_that_is_bad_is_no_reference(x):
    """Nor is another pair taken in silence: recordings of a study would differ in their reference."""
    for left, words in ((["M2"], "M1 and M2, of which M2 is bad"), (["M1", "M2"], "of which M1 and M2 are bad")):
        with pytest.raises(Fault, match=words) as fault:
            reference.apply(x, NAMES, "mastoids", left)
        assert fault.value.code == "missing-channel"
    assert reference.apply(x, NAMES, "mastoids", ["Tp9"])[1] == ["M1", "M2"]


@pytest.mark.parametrize(
    ("wanted", "left", "words"),
    [
        (["Fz", "nose"], [], "the reference Fz, nose needs channels that the recording does not have: nose"),
        (["Fz", "Cz"], ["Fz", "Cz"], "are all bad and not interpolated"),
    ],
)
def test_channels_that_are_missing_or_all_bad_are_a_fault(x, wanted, left, words):
    with pytest.raises(Fault, match=words) as fault:
        reference.apply(x, NAMES, wanted, left)
    assert fault.value.code == "missing-channel"


def test_an_unknown_word_is_refused(x):
    with pytest.raises(ValueError, match="reference='linked ears'"):
        reference.apply(x, NAMES, "linked ears")


@pytest.mark.parametrize("wanted", ["average", "mastoids", ["Cz", "Fz"]])
def test_every_kind_of_array_gives_the_same(x, xp, wanted):
    y, used = reference.apply(xp.asarray(x), NAMES, wanted)
    assert type(y) is type(xp.asarray(x)) and used == reference.apply(x, NAMES, wanted)[1]
    np.testing.assert_allclose(_array.to_numpy(y), reference.apply(x, NAMES, wanted)[0], atol=1e-14)
