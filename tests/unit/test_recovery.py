"""Planted against recovered: exact where the recovered is made from the planted."""

import numpy as np
import pytest

from hedgerow import recovery, simulate

TIMES = np.arange(-50, 200) / 250


@pytest.fixture(scope="module")
def truth():
    """Truth of four subjects, without signals."""
    truth = simulate.truth()
    for subject in range(1, 5):
        truth["subjects"][f"sub-{subject:02d}"] = simulate.person(subject)
    truth["recordings"] = {"a": {"flat": "F3", "noisy": "P8"}, "b": {"flat": "O1", "noisy": "T7"}}
    return truth


def test_bursts_in_decibel():
    rng = np.random.default_rng(1)
    raw = rng.standard_normal((3, 5000))
    raw[:, 1000:1200] += 40 * rng.standard_normal((3, 200))
    clean = raw.copy()
    clean[0, 1000:1200] /= 10
    clean[1, 1000:1200] /= 100
    planted = [
        {"start": 4.0, "end": 4.8, "channels": ["T7"]},
        {"start": 4.0, "end": 4.8, "channels": ["T8", "gone"]},
        {"start": 4.0, "end": 4.8, "channels": ["gone"]},
    ]
    found = recovery.bursts(raw, clean, 250.0, planted, ["T7", "T8", "Pz"])
    np.testing.assert_allclose(found["each"], [20, 40], rtol=1e-9)
    assert found["db"] == pytest.approx(30)
    assert recovery.bursts(raw, clean, 250.0, [], ["T7", "T8", "Pz"])["db"] is None


def test_bursts_hear_only_their_band():
    times = np.arange(500) / 250
    quiet, slow = np.sin(2 * np.pi * 40 * times), 100 * np.sin(2 * np.pi * 8 * times)
    found = recovery.bursts(
        (10 * quiet + slow)[None], (quiet + 3 * slow)[None], 250.0, [{"start": 0, "end": 2, "channels": ["C3"]}], ["C3"]
    )
    assert found["db"] == pytest.approx(20, abs=0.01)


@pytest.mark.parametrize("reference", [None, "average", ["M1", "M2"]])
@pytest.mark.parametrize("term", list(simulate.RESPONSE))
def test_response_recovered_from_the_planted_itself(truth, term, reference):
    how = simulate.RESPONSE[term]
    names = [name.upper() for name in truth["names"]][::-1]
    gain = np.mean([who["gains"][term] for who in truth["subjects"].values()])
    nose = gain * how["amplitude"] * simulate.topography(truth["names"], how["channel"])
    if reference is not None:
        rows = slice(None) if reference == "average" else [truth["names"].index(name) for name in reference]
        nose = nose - nose[rows].mean()
    coef = np.outer(nose, simulate.course(TIMES, how["latency"], how["width"]))[::-1]
    found = recovery.response(truth, 0.9 * coef, names, TIMES, reference, term=term)
    assert found["ratio"] == pytest.approx(0.9)
    assert found["planted"]["channel"] == found["recovered"]["channel"] == how["channel"].upper()
    assert found["planted"]["time"] == found["recovered"]["time"] == pytest.approx(how["latency"], abs=1 / 250)


def test_response_of_the_null_twin_and_of_noise(truth, rng):
    null = simulate.truth(effect=0) | {"subjects": truth["subjects"]}
    noise = rng.standard_normal((26, len(TIMES)))
    assert recovery.response(null, noise, null["names"], TIMES, "average")["ratio"] is None
    assert abs(recovery.response(truth, noise, truth["names"], TIMES, "average")["ratio"]) < 0.5


def test_response_refuses_another_term_or_shape(truth):
    with pytest.raises(ValueError, match="loudness"):
        recovery.planted(truth, "loudness", truth["names"], TIMES)
    with pytest.raises(ValueError, match="names and times"):
        recovery.response(truth, np.zeros((26, 3)), truth["names"], TIMES, None)


def test_channels_found_missed_and_false(truth):
    accounts = {"a": {"flat": ["F3"], "uncorrelated": ["P8", "Oz"]}, "b": {"flat": [], "uncorrelated": ["O1"]}}
    found = recovery.channels(truth, accounts)
    assert found["recordings"] == 2
    assert found["flat"] == {"found": 1, "missed": [["b", "O1"]], "false": []}
    assert found["noisy"] == {"found": 1, "missed": [["b", "T7"]], "false": [["a", "Oz"], ["b", "O1"]]}
    assert recovery.channels(truth, {"a": accounts["a"]})["flat"]["missed"] == [["b", "O1"]]
