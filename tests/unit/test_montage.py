"""One montage and rate for all: channels by name, by place and by splines, against MNE-Python and known fields."""

import json

import numpy as np
import pytest

from hedgerow import _mirrored, io, montage, rate
from hedgerow.account import Fault

#: Net of the Healthy Brain Network: 128 electrodes and the reference.
EGI = [f"E{number}" for number in range(1, 129)] + ["Cz"]

#: The 24 channels of Truong et al. 2021 (github.com/dungscout96/DL-EEG, load_data_master.m) in today's names, with the
#: electrodes that they took, those of the maker's table of 10-10 equivalents (HydroCel GSN, 128 channels).
TRUONG = {
    **{"Fp1": "E22", "Fp2": "E9", "F7": "E33", "F3": "E24", "Fz": "E11", "F4": "E124", "F8": "E122", "FC3": "E29"},
    **{"FCz": "E6", "FC4": "E111", "T7": "E45", "C3": "E36", "C4": "E104", "T8": "E108", "CP3": "E42", "CPz": "E55"},
    **{"CP4": "E93", "P7": "E58", "P3": "E52", "Pz": "E62", "P4": "E92", "P8": "E96", "O1": "E70", "Cz": "Cz"},
}

#: Where another electrode of the templates is nearer than that of the maker's table, its neighbour on either side.
NEARER = {
    **{"F7": "E26", "F8": "E2", "FC3": "E28", "FC4": "E117"},
    **{"T7": "E39", "T8": "E115", "P7": "E50", "P8": "E101"},
}


def ramp(channels, samples):
    """Signal whose value tells channel and sample."""
    return 1000.0 * np.arange(channels)[:, None] + np.arange(samples)


# --- by name


def test_a_montage_is_found_whatever_the_case_and_spelt_as_the_study_does():
    x, names, positions, mapping = montage.place(ramp(3, 10), ["Fc5", "CZ", "Oz"], ["Cz", "FC5"])
    assert names == ["Cz", "FC5"] and positions is None and mapping is None
    np.testing.assert_array_equal(x, ramp(3, 10)[[1, 0]])


def test_by_name_the_positions_are_those_of_the_recorded_net():
    """A few electrodes of a large net are not taken for those of a smaller one with the same numbers."""
    _, names, positions, _ = montage.place(ramp(129, 2), EGI, ["E9", "e22", "CZ"], locate=io.positions)
    assert names == ["E9", "e22", "CZ"]
    np.testing.assert_array_equal(positions, io.positions(EGI)[[8, 21, 128]])
    assert np.isnan(io.positions(["E9", "E22", "Cz"])).all()


def test_without_a_montage_all_channels_stay():
    x = ramp(2, 5)
    found, names, positions, mapping = montage.place(x, ["Cz", "nose-ring"], locate=io.positions)
    assert found is x and names == ["Cz", "nose-ring"] and mapping is None
    assert np.isfinite(positions[0]).all() and np.isnan(positions[1]).all()


@pytest.mark.parametrize(
    ("names", "wanted", "code", "words"),
    [
        (["A", "B"], ["A", "Cz"], "missing-channel", "Cz.*take them off channels"),
        (["a", "A"], ["A"], "bad-channels-table", "rename"),
    ],
)
def test_names_that_cannot_be_matched(names, wanted, code, words):
    with pytest.raises(Fault, match=words) as fault:
        montage.place(ramp(2, 5), names, wanted)
    assert fault.value.code == code


# --- templates


def in_head(template):
    """Positions of a template in MNE's head frame: the ears on the x axis, the nasion on the y axis."""
    mne = pytest.importorskip("mne")
    made = mne.channels.make_standard_montage(template)
    info = mne.create_info(made.ch_names, 100.0, "eeg")
    info.set_montage(made)
    return {channel["ch_name"]: channel["loc"][:3] for channel in info["chs"]}


@pytest.mark.parametrize(
    ("names", "template"),
    [
        ([f"E{number}" for number in range(1, 65)], "GSN-HydroCel-65_1.0"),
        ([f"e{number}" for number in range(1, 129)], "GSN-HydroCel-129"),
        (EGI, "GSN-HydroCel-129"),
        (EGI[:17] + EGI[40:100], "GSN-HydroCel-129"),
        ([f"E{number}" for number in range(1, 257)], "GSN-HydroCel-257"),
        ([f"{bank}{number}" for bank in "ABCD" for number in range(1, 33)], "biosemi128"),
        ([f"{bank}{number}" for bank in "ABCDEFGH" for number in range(1, 33)], "biosemi256"),
        (["Fp1", "FP2", "cz", "M1", "A2"], "colin27_1005"),
    ],
)
def test_the_template_that_knows_most_names_is_taken(names, template):
    """Distances within a template are those of MNE's, whatever the frame."""
    found = io.positions([*names, "nose-ring"])
    assert np.isnan(found[-1]).all()
    wanted = {name.lower(): where for name, where in in_head(template).items()}
    wanted = np.array([wanted[name.lower()] for name in names])
    apart, expected = (np.linalg.norm(each[:, None] - each, axis=2) for each in (found[:-1], wanted))
    np.testing.assert_allclose(apart, expected, atol=1e-6)


def test_all_templates_lie_on_one_head():
    """From one template to another distances are those in MNE's head frame too: nasion and ears lie on each other."""
    places, nets = in_head("colin27_1005"), [(EGI, "GSN-HydroCel-129")]
    nets += [([f"{bank}{number}" for bank in "ABCD" for number in range(1, 33)], "biosemi128")]
    for names, template in nets:
        there = in_head(template)
        wanted = np.linalg.norm([[places[place] - there[name] for name in names] for place in TRUONG], axis=2)
        found = io.positions(list(TRUONG))[:, None] - io.positions(names)
        np.testing.assert_allclose(np.linalg.norm(found, axis=2), wanted, atol=1e-6)


def test_the_vertex_reference_of_a_net_goes_by_its_number_too():
    for count in (64, 128, 256):
        net = [f"E{number}" for number in range(1, count + 2)]
        np.testing.assert_array_equal(io.positions(net)[-1], io.positions([*net[:-1], "Cz"])[-1])


def test_one_template_gives_all_positions():
    """`Cz` among electrodes of a net is that of the net; the 10-05 system wins where as many names are known."""
    assert np.linalg.norm(io.positions(EGI)[-1] - io.positions(["Cz"])[0]) > 0.001
    np.testing.assert_array_equal(io.positions(["A1", "A2"]), io.positions(["A1", "A2", "Cz"])[:2])
    assert io.positions([]).shape == (0, 3)


@pytest.mark.parametrize(
    "names",
    [
        ["E3", "E9", "E22", "E24", "E33", "E36", "E45", "E52", "E58", "E62"],  # of a net of 129
        ["E1", "E128", "Cz"],
        EGI[:60:2] + EGI[60:94],  # half of the net of 65 is among them, but so are others
        [f"{bank}{number}" for bank in "AB" for number in range(1, 33)],  # a cap of 64, with a layout of its own
        [f"A{number}" for number in range(1, 33)],
        ["A1", "A2", "A3"],  # not the ear lobes
    ],
)
def test_a_few_numbers_of_a_net_or_cap_are_unknown(names):
    assert np.isnan(io.positions(names)).all()


def test_names_of_the_10_05_system_stand_beside_numbers():
    found = io.positions(["E1", "E2", "E3", "Fz", "Oz"])
    assert np.isnan(found[:3]).all()
    np.testing.assert_array_equal(found[3:], io.positions(["Fz", "Oz"]))


# --- by the nearest electrode


def test_the_nearest_electrodes_of_the_hbn_net():
    """Sixteen of 24 are those of the maker's table; the other eight, alike on both sides, have a nearer neighbour."""
    x, names, positions, mapping = montage.place(ramp(129, 3), EGI, list(TRUONG), by="nearest", locate=io.positions)
    assert names == list(TRUONG)
    assert {name: found["electrode"] for name, found in mapping.items()} == TRUONG | NEARER
    rows = [EGI.index((TRUONG | NEARER)[name]) for name in names]
    np.testing.assert_array_equal(x, ramp(129, 3)[rows])
    np.testing.assert_array_equal(positions, io.positions(list(TRUONG)))
    # against MNE's positions alone
    places, net = in_head("colin27_1005"), in_head("GSN-HydroCel-129")
    for name, found in mapping.items():
        apart = {electrode: 1000 * np.linalg.norm(where - places[name]) for electrode, where in net.items()}
        assert found["electrode"] == min(apart, key=apart.get)
        assert found["mm"] == pytest.approx(min(apart.values()), abs=0.051)
        # the maker's own electrode is never far: 33 mm at most (T7 and T8)
        assert apart[TRUONG[name]] < 34
    json.dumps(mapping, allow_nan=False)


def test_other_places_of_the_10_20_system_on_the_hbn_net():
    _, _, _, mapping = montage.place(ramp(129, 3), EGI, ["O2", "Oz"], by="nearest", locate=io.positions)
    assert [found["electrode"] for found in mapping.values()] == ["E83", "E75"]


def test_a_montage_that_was_recorded_is_found_at_no_distance():
    names = ["nose-ring", "cz", "Fp1", "O2", "T7"]
    x, _, _, mapping = montage.place(ramp(5, 4), names, ["O2", "Cz"], by="nearest", locate=io.positions)
    assert mapping == {"O2": {"electrode": "O2", "mm": 0.0}, "Cz": {"electrode": "cz", "mm": 0.0}}
    np.testing.assert_array_equal(x, ramp(5, 4)[[3, 1]])


def test_bad_electrodes_stand_in_for_nothing():
    _, _, _, mapping = montage.place(
        ramp(129, 3), EGI, ["C3"], by="nearest", locate=io.positions, unusable=["E36", "E1"]
    )
    # the next nearest, by MNE's positions alone
    place, net = in_head("colin27_1005")["C3"], in_head("GSN-HydroCel-129")
    order = sorted(net, key=lambda electrode: np.linalg.norm(net[electrode] - place))
    assert order[0] == "E36" and mapping["C3"]["electrode"] == order[1]


LINE = {"A": [0.0, 0, 0], "B": [0.05, 0, 0], "C": [0.1, 0, 0], "near": [0.048, 0, 0], "also": [0.051, 0, 0]}
LINE |= {"edge": [0.13, 0, 0], "far": [0.1301, 0, 0], "farther": [0.1601, 0, 0], "lost": [np.nan] * 3}


def on_a_line(names):
    return np.array([LINE[name] for name in names])


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (["near", "also"], r"near \(nearest: B, 2 mm\), also \(nearest: B, 1 mm\).*spline"),
        (["near", "far"], r"within 30 mm of far \(nearest: C, 30.1 mm\)"),
        (["near", "lost"], "knows where lost lie"),
    ],
)
def test_places_without_an_electrode_of_their_own(wanted, words):
    with pytest.raises(Fault, match=words) as fault:
        montage.place(ramp(3, 4), list("ABC"), wanted, by="nearest", locate=on_a_line)
    assert fault.value.code == "missing-channel"
    assert montage.place(ramp(3, 4), list("ABC"), ["edge"], by="nearest", locate=on_a_line)[3]["edge"]["mm"] == 30.0


def test_electrodes_without_a_place_or_too_few_of_them():
    with pytest.raises(Fault, match="2 good electrodes of 4 have a known place") as fault:
        names = ["A", "B", "C", "lost"]
        montage.place(ramp(4, 4), names, ["near"], by="nearest", locate=on_a_line, unusable=["C"])
    assert fault.value.code == "missing-channel"


@pytest.mark.parametrize(
    ("wanted", "by", "locate", "key"),
    [
        (["A"], "closest", on_a_line, "channels_by: 'closest'"),
        (None, "nearest", on_a_line, "channels_by: 'nearest' needs a montage"),
        (["A"], "spline", None, "locate"),
        (["A", "b", "a"], "name", None, "channels: A, a stand"),
    ],
)
def test_ways_that_make_no_sense_name_their_key(wanted, by, locate, key):
    with pytest.raises(ValueError, match=key):
        montage.place(ramp(3, 4), list("ABC"), wanted, by=by, locate=locate)


# --- by splines


def on_a_sphere(points):
    """Directions of `points` from the centre of the sphere that fits the electrodes and the places of the study."""
    both = np.concatenate([io.positions(EGI), io.positions(list(TRUONG))])
    solved, *_ = np.linalg.lstsq(np.column_stack([2 * both, np.ones(len(both))]), (both**2).sum(axis=1), rcond=None)
    return (points - solved[:3]) / np.linalg.norm(points - solved[:3], axis=1, keepdims=True)


def smooth(points):
    """Harmonics of the sphere up to the third degree at `points`, one column each."""
    x, y, z = on_a_sphere(points).T
    return np.stack([x, y, z, x * y, y * z, 3 * z**2 - 1, x**2 - y**2, z * (5 * z**2 - 3)], axis=1)


def test_a_smooth_field_comes_back_at_the_places_of_the_study():
    field, wanted = smooth(io.positions(EGI)), smooth(io.positions(list(TRUONG)))
    found, names, positions, mapping = montage.place(field, EGI, list(TRUONG), by="spline", locate=io.positions)
    assert names == list(TRUONG)
    np.testing.assert_array_equal(positions, io.positions(list(TRUONG)))
    wrong = np.abs(found - wanted).max(axis=0) / np.ptp(wanted, axis=0)
    assert wrong.max() < 0.02
    # the nearest electrode is a few times as wrong: the spline knows where it is
    near, *_ = montage.place(field, EGI, list(TRUONG), by="nearest", locate=io.positions)
    assert (np.abs(near - wanted).max(axis=0) / np.ptp(wanted, axis=0) > 3 * wrong).all()
    assert mapping["Pz"] == {"electrode": "E62", "mm": 22.5}


def test_splines_are_those_of_mne():
    mne = pytest.importorskip("mne")
    here, there = io.positions(EGI), io.positions(list(TRUONG))

    def info(names, where):
        made = mne.create_info(names, 100.0, "eeg")
        return made.set_montage(mne.channels.make_dig_montage(dict(zip(names, where)), coord_frame="head"))

    both = info([*EGI, *(f"to {name}" for name in TRUONG)], np.concatenate([here, there]))
    _, origin, _ = mne.bem.fit_sphere_to_headshape(both, dig_kinds="eeg", units="m", verbose="error")
    raw = mne.io.RawArray(np.eye(129), info(EGI, here), verbose="error")
    target = mne.channels.make_dig_montage(dict(zip(TRUONG, there)), coord_frame="head")
    wanted = raw.interpolate_to(target, origin=origin, method="spline", reg=1e-5).get_data()
    found, *_ = montage.place(np.eye(129), EGI, list(TRUONG), by="spline", locate=io.positions)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_bad_electrodes_enter_no_spline_and_the_reference_does_not_matter(rng):
    x = rng.standard_normal((129, 50))
    clean, *_ = montage.place(x, EGI, list(TRUONG), by="spline", locate=io.positions, unusable=["E36", "Cz"])
    spoilt = x.copy()
    spoilt[[35, 128]] = 1e6
    again, *_ = montage.place(spoilt, EGI, list(TRUONG), by="spline", locate=io.positions, unusable=["E36", "Cz"])
    np.testing.assert_array_equal(again, clean)
    shifted, *_ = montage.place(
        x + 50 * np.sin(np.arange(50)), EGI, list(TRUONG), by="spline", locate=io.positions, unusable=["E36", "Cz"]
    )
    np.testing.assert_allclose(shifted, clean + 50 * np.sin(np.arange(50)), atol=1e-9)


def test_a_spline_does_not_reach_beyond_the_electrodes():
    with pytest.raises(Fault, match=r"within 60 mm of farther \(nearest: C, 60.1 mm\)") as fault:
        montage.place(ramp(3, 4), list("ABC"), ["far", "farther"], by="spline", locate=on_a_line)
    assert fault.value.code == "missing-channel"


# --- band


@pytest.mark.parametrize(("sfreq", "hz"), [(128.0, 25.0), (500.0, 25.0), (250.0, 47.0), (100.0, 6.0)])
def test_what_is_too_fast_goes_as_in_mne(rng, sfreq, hz):
    mne = pytest.importorskip("mne")
    x = rng.standard_normal((3, 2000)).cumsum(axis=1)
    expected = mne.filter.filter_data(x, sfreq, None, hz, fir_design="firwin", pad="reflect_limited", verbose="error")
    np.testing.assert_allclose(montage.lowpass(x, sfreq, hz), expected, atol=1e-12 * np.abs(x).max())


def test_the_pass_band_stays_without_delay_and_the_rest_goes():
    time = np.arange(6000) / 500
    waves = {hz: np.sin(2 * np.pi * hz * time + 1) for hz in (2, 10, 20, 24, 28.125, 33, 60, 150)}
    found = montage.lowpass(np.stack([*waves.values(), 30 + 4 * time]), 500.0, 25.0)
    gains = {
        hz: y[500:-500] @ wave[500:-500] / (wave[500:-500] @ wave[500:-500])
        for (hz, wave), y in zip(waves.items(), found)
    }
    for hz, wave, y in zip(waves, waves.values(), found):
        # a delay, or anything but a gain, would leave something
        np.testing.assert_allclose(y[500:-500], gains[hz] * wave[500:-500], atol=0.005)
    assert all(abs(gains[hz] - 1) < 0.005 for hz in (2, 10, 20, 24)) and gains[28.125] == pytest.approx(0.5, abs=0.01)
    assert all(abs(gains[hz]) < 0.005 for hz in (33, 60, 150))
    # the ends are mirrored, so that a line stays one
    np.testing.assert_allclose(found[-1], 30 + 4 * time, atol=1e-9)


def test_any_kind_of_array_is_filtered_alike(rng, xp):
    x = rng.standard_normal((5, 700))
    found = montage.lowpass(xp.asarray(x), 128.0, 25.0)
    assert type(found) is type(xp.asarray(x))
    np.testing.assert_allclose(np.asarray(found), montage.lowpass(x, 128.0, 25.0), atol=1e-12)


def test_many_channels_are_filtered_in_groups(rng, monkeypatch):
    x = rng.standard_normal((7, 400))
    whole = montage.lowpass(x, 128.0, 25.0)
    monkeypatch.setattr(_mirrored, "_GROUP", 1000)
    np.testing.assert_allclose(montage.lowpass(x, 128.0, 25.0), whole, atol=1e-13)


def test_a_band_that_is_no_band():
    x = ramp(2, 300)
    assert montage.lowpass(x, 128.0) is x
    # nothing in a signal is faster than half its rate
    assert montage.lowpass(x, 128.0, 64.0) is x and montage.lowpass(x, 128.0, 70.0) is x
    with pytest.raises(ValueError, match="lowpass: 0 Hz"):
        montage.lowpass(x, 128.0, 0)
    with pytest.raises(Fault, match=r"0.54 s long, its low-pass filter 0.54 s: take the key lowpass off") as fault:
        montage.lowpass(x[:, :69], 128.0, 25.0)
    assert fault.value.code == "too-short" and montage.lowpass(x[:, :70], 128.0, 25.0).shape == (2, 70)


# --- rate


def test_the_rate_of_the_study_is_reached_and_said():
    x = np.sin(np.arange(2000) / 9)[None]
    y, sfreq = montage.resample(x, 250.0, 128.0)
    assert y.shape == (1, 1024) and sfreq == 128.0
    np.testing.assert_array_equal(y, rate.resample(x, 250.0, 128.0))


def test_keeping_the_rate_keeps_the_samples_and_a_higher_one_is_refused():
    x = ramp(2, 100)
    assert montage.resample(x, 250.0, 250.0)[0] is x
    assert montage.resample(x, 250.0)[0] is x and montage.resample(x, 250)[1] == 250.0
    with pytest.raises(Fault, match="lower `resample`") as fault:
        montage.resample(x, 250.0, 500.0)
    assert fault.value.code == "rate-too-low"
