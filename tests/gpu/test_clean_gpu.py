"""Every stage of the cleaning on a device against numpy: the same masks, and numbers within a stated tolerance.

On a GPU machine ``python -m pytest -m gpu tests/gpu`` needs numpy, scipy, torch, cupy, array-api-compat and pytest.
Everywhere else torch on the CPU stands in for the devices, so that these lines run wherever the tests do.
"""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

import pink
from hedgerow import _array, clean
from hedgerow.clean import asr, channels, drifts, segments

SFREQ, CHANNELS, SECONDS = 250.0, 24, 60.0

#: Largest difference from numpy in float64 and float32, as a share of the largest value.
DOUBLE, SINGLE = 1e-8, 1e-3
#: The same of thresholds in float32: the amplitude fit picks from a grid, and rounding may pick a neighbour.
GRID = 1e-2
#: Largest share of the samples that float32 repairs otherwise at cutoff 5, where many components are near a threshold.
FLIPPED = 0.02
#: Largest relative difference that float32 makes in the PSD of a clean channel, 1 to 45 Hz.
PSD = 1e-3


@pytest.fixture(scope="module")
def given():
    """Raw signal with a flat and a noisy channel, and positions."""
    brain, artefact, places = pink.recording(CHANNELS, SECONDS)
    x = brain + artefact + 1000 * np.linspace(0, 1, brain.shape[1]) ** 2
    x[3] = 7.0
    x[11] = 300 * np.random.default_rng(1).standard_normal(x.shape[1])
    return x, places


@pytest.fixture(scope="module")
def host(given):
    """What each stage makes of it with numpy in float64."""
    return stages(given[0], given[1])


def stages(x, places):
    """The stages one after the other, all on the device and in the precision of `x`; numpy arrays by name."""
    xp = _array.namespace(x)
    found = {"flat": channels.flat(x, SFREQ), "drifts": drifts.highpass(x, SFREQ)}
    rows = [i for i in range(CHANNELS) if i not in (3, 11)]
    lively = [i for i in range(CHANNELS) if i != 3]
    x = _rows(found["drifts"], lively)
    found["noisy"] = channels.noisy(x, SFREQ)
    found["uncorrelated"] = channels.uncorrelated(x, SFREQ)
    found["unpredicted"] = channels.uncorrelated(x, SFREQ, places[lively])
    good = _rows(found["drifts"], rows)
    found["kept"] = segments.keep(good, SFREQ, 0.075, (-math.inf, 5.5))
    calibration = xp.take(good, xp.nonzero(found["kept"])[0], axis=1)
    for cutoff in (20.0, 5.0):
        state = asr.calibrate(calibration, SFREQ, cutoff)
        found[f"mixing {cutoff:g}"] = state.mixing
        found[f"thresholds {cutoff:g}"] = xp.matmul(state.thresholds.T, state.thresholds)
        found[f"asr {cutoff:g}"], account = asr.apply(good, SFREQ, state)
        found[f"updates {cutoff:g}"] = np.array([account["updates"], account["updates_changed"]])
        found[f"emulated {cutoff:g}"], _ = asr.apply(good, SFREQ, state, memory_mb=64)
        found[f"stream {cutoff:g}"], carry = asr.process(good[:, :4000], SFREQ, state)
        found[f"stream on {cutoff:g}"], _ = asr.process(good[:, 4000:7000], SFREQ, state, carry)
    made = {type(each) for each in found.values() if not isinstance(each, np.ndarray)}
    assert made <= {type(x)}  # nothing was copied to the host on the way
    return {name: _array.to_numpy(each) for name, each in found.items()}


def _rows(x, rows):
    return _array.namespace(x).take(x, _array.like(np.array(rows), x), axis=0)


def differences(found, wanted):
    """Largest difference of each stage as a share of its largest value; masks and counts apart."""
    return {
        name: float(np.abs(found[name] - wanted[name]).max() / np.abs(wanted[name]).max())
        for name in wanted
        if wanted[name].dtype.kind == "f"
    }


def psd(x):
    """PSD (channels, frequencies) from 1 to 45 Hz."""
    hz, power = scipy.signal.welch(x.astype(np.float64), SFREQ, nperseg=500)
    return power[:, (hz >= 1) & (hz <= 45)]


def test_every_stage_in_float64_is_numpys(move, given, host):
    found = stages(move(given[0]), given[1])
    for name, wanted in host.items():
        if wanted.dtype.kind != "f":
            np.testing.assert_array_equal(found[name], wanted, err_msg=name)
    worst = differences(found, host)
    assert max(worst.values()) < DOUBLE, worst
    assert host["flat"].tolist() == [i == 3 for i in range(CHANNELS)] and 0.3 < host["kept"].mean() < 1
    assert host["updates 20"][1] > 10 and host["updates 5"][1] > host["updates 20"][1]


def test_float32_stays_close_and_so_does_the_spectrum(move, given, host, record_property):
    found = stages(move(given[0].astype(np.float32)), given[1])
    worst = differences(found, host)
    spectra = {}
    for name in ("drifts", "asr 20", "asr 5"):
        # of the flat channel rounding is all there is
        one, other = (np.delete(each[name], [3] if name == "drifts" else [], axis=0) for each in (found, host))
        spectra[name] = float((np.abs(psd(one) - psd(other)) / psd(other)).max())
    record_property("float32", {"largest difference": worst, "PSD": spectra})
    print(f"float32 against float64: {worst}; PSD from 1 to 45 Hz: {spectra}")
    for name, value in worst.items():
        if name in ("asr 5", "emulated 5", "stream 5", "stream on 5"):
            # a component at its threshold may fall to the other side, and then for half a window
            off = np.abs(found[name] - host[name]).max(axis=0) > SINGLE * np.abs(host[name]).max()
            assert off.mean() < FLIPPED, (name, off.mean())
        else:
            assert value < (GRID if name.startswith("thresholds") else SINGLE), worst
    assert max(spectra["drifts"], spectra["asr 20"]) < PSD and spectra["asr 5"] < 30 * PSD, spectra
    for name, wanted in host.items():
        if wanted.dtype.kind == "b":
            assert (found[name] == wanted).mean() > 0.99, name


def test_the_whole_chain_is_numpys(move, given):
    """Without interpolation: that is a product with a matrix made by a library on the host."""
    x, places = given
    settings = {"names": [f"c{i}" for i in range(CHANNELS)], "positions": places, "interpolate": False}
    wanted, account = clean.clean(x, SFREQ, **settings)
    y, same = clean.clean(move(x), SFREQ, **settings)
    assert type(y) is type(move(x))
    assert np.abs(_array.to_numpy(y) - wanted).max() < DOUBLE * np.abs(wanted).max()
    for key in ("flat", "uncorrelated", "good", "bad_segments", "rank", "reference"):
        assert same[key] == account[key], key
    assert account["flat"] == ["c3"] and "c11" not in account["good"]
    assert same["asr"]["changed_seconds"] == account["asr"]["changed_seconds"]


def test_batches_on_the_device_change_nothing(move, given):
    """Neither batches of updates nor several recordings in one batch."""
    x = drifts.highpass(move(np.delete(given[0], [3, 11], axis=0)), SFREQ)
    state = asr.calibrate(x, SFREQ, 10.0)
    whole, account = asr.apply(x, SFREQ, state)
    results = [asr.apply(x, SFREQ, state, batch=batch) for batch in (1, 50)]
    results.append(asr.apply_many([x[:, :9000], x], SFREQ, [state, state])[1])
    for y, same in results:
        assert same["changed_seconds"] == account["changed_seconds"]
        assert np.abs(_array.to_numpy(y - whole)).max() < 1e-10 * np.abs(_array.to_numpy(whole)).max()


ALONE = """
import sys
import pink
from hedgerow import clean
brain, artefact, places = pink.recording(12, 30.0)
names = [f"c{i}" for i in range(12)]
clean.clean(brain + artefact, 250.0, names=names, positions=places, interpolate=False)
print(*{name.split(".")[0] for name in sys.modules})
"""


def test_the_cleaning_needs_numpy_scipy_and_array_api_compat_alone():
    root = Path(__file__).resolve().parents[2]
    paths = [str(root / "tests"), str(root / "workflow/src")]
    code = f"import sys; sys.path[:0] = {paths}\n{ALONE}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    heavy = {"mne", "pandas", "zarr", "torch", "sklearn", "matplotlib", "hed", "bids", "snakemake", "yaml"}
    assert not {*done.stdout.split()} & heavy
