"""Reading and writing signals. The only door where volts become microvolts and back.

mne reads EDF, BDF, BrainVision and EEGLAB; clean signals are written as BrainVision float32 by pybv, the one format of
BIDS that holds 32-bit floats.
"""

import math
import re
import warnings
from functools import cache
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pybv

from . import layout, table
from .account import Fault, Stopped

READERS = {
    ".vhdr": mne.io.read_raw_brainvision,
    ".edf": mne.io.read_raw_edf,
    ".bdf": mne.io.read_raw_bdf,
    ".set": mne.io.read_raw_eeglab,
}

#: Templates of electrode positions, by mne's names: the 10-05 system, EGI's nets and BioSemi's caps, small ones first,
#: so that names which two of a maker's sizes share (E1 to E64, A1 to D32) are those of the smaller.
TEMPLATES = (
    "colin27_1005",
    *("GSN-HydroCel-65_1.0", "GSN-HydroCel-129", "GSN-HydroCel-257"),
    *("biosemi128", "biosemi160", "biosemi256"),
)

#: BIDS channel type of each type that mne tells from names and headers; others are MISC.
TYPES = {"eeg": "EEG", "eog": "EOG", "ecg": "ECG", "emg": "EMG", "stim": "TRIG", "resp": "RESP", "gsr": "GSR"}

#: µV in a unit of volts, as tables spell it.
VOLTS = {"V": 1e6, "mV": 1e3, "µV": 1.0, "μV": 1.0, "uV": 1.0, "microV": 1.0, "nV": 1e-3}


def read_raw(path, channels_tsv=None, *, duration=None, waived=()):
    """Read one recording of a raw dataset.

    Parameters
    ----------
    path : path
        Signal file (.vhdr, .edf, .bdf, .set).
    channels_tsv : path, optional
        Gives channel types; without it every channel that mne takes for EEG is EEG, and the notes say so.
    duration : float, optional
        ``RecordingDuration`` of the sidecar in s; a signal more than one second and 1 % shorter is truncated.
    waived : sequence of str
        ``truncated``, where a person decided to take what is there of a truncated file; a note says so.

    Returns
    -------
    x : ndarray (channels, samples)
        In µV where the file says volts of any kind (or channels.tsv, where the file says nothing), else as stored.
    sfreq : float
        In Hz.
    channels : DataFrame
        ``name, type, units, status, status_description`` in the order of `x`; types are those of BIDS.
    notes : list of str
        Whatever was missing or odd and how it was met.

    Raises
    ------
    Fault
        ``missing-file``, ``unreadable``, ``truncated``, ``not-continuous``, ``bad-channels`` or
        ``bad-channels-table``.
    """
    path, notes = Path(path), []
    raw, header = _read(path, notes)
    held, promised = raw.n_times / raw.info["sfreq"], [("its header", header.get("seconds"), 0.0)]
    duration = pd.to_numeric(duration, errors="coerce")
    promised.append(("its sidecar (RecordingDuration)", duration, max(1.0, 0.01 * duration)))
    for where, seconds, slack in promised:
        if seconds and held < seconds - slack - 1e-6:
            what = f"{path} holds {held:.1f} s, {where} promises {seconds:.1f} s"
            if "truncated" not in waived:
                raise Fault("truncated", f"{what}: fetch it anew")
            notes.append(f"{what}: taken as it is, by an override")
    channels, scale = _channels(raw, path, channels_tsv, notes)
    _check_rates(path, header.get("rates", {}), channels, notes)
    return raw.get_data() * scale[:, None], float(raw.info["sfreq"]), channels, notes


def _read(path, notes):
    """What mne makes of a file, and ``seconds`` and ``rates`` (Hz by name) of an EDF or BDF header."""
    for file in {path, *path.parent.glob(f"{path.stem}.*")}:
        # an unlocked file of git-annex without content would be read as a few samples
        pointer = file.is_file() and file.stat().st_size < layout.POINTER and layout.pointer(file)
        if pointer or (file.is_symlink() and not file.exists()):
            # no fault of the data: the index found it here, somebody dropped it since, and it may come back
            raise Stopped(f"the content of {file} is not here any more: `git annex get` it, and run again")
    if not path.is_file():
        raise Fault("missing-file", f"{path} is missing (or its content is not fetched): get it or drop the recording")
    keywords = {}
    if path.suffix == ".vhdr":
        named, own = layout.named(path)[0], path.with_suffix(".eeg")
        if named and not path.with_name(named).is_file() and own.is_file():
            keywords["overrides"] = {"data_fname": own.name}
            notes.append(f"the header names {named} as its data, which is not there: {own.name} is read")
    try:
        header = _edf_header(path) if path.suffix in (".edf", ".bdf") else {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # mne warns only where its log does
            raw = READERS[path.suffix](path, preload=True, verbose="WARNING", **keywords)
    except Fault:
        raise
    except FileNotFoundError as error:
        raise Fault("missing-file", f"{path} names a file that is not there ({error}): add it") from error
    except Exception as error:  # the readers raise whatever a broken header makes them stumble over
        raise _unreadable(path, error) from error
    told = sorted({str(w.message).replace("\n", " ") for w in caught if issubclass(w.category, RuntimeWarning)})
    for text in told:
        if "not unique" in text:
            raise Fault("bad-channels", f"{path} has several channels of one name ({text}): name each channel once")
    notes += told
    if not raw.n_times or not len(raw.ch_names):
        raise Fault("truncated", f"{path} holds no samples: fetch it anew")
    return raw, header


def _unreadable(path, error):
    """The fault behind what a reader stumbled over."""
    text = str(error)
    if found := re.search(r"number of trials is (\d+)", text):
        return Fault("not-continuous", f"{path} holds {found[1]} epochs, no continuous signal: add the continuous one")
    if found := re.search(r"Incorrect number of samples \((\d+) != (\d+)\)", text):
        return Fault(
            "truncated", f"{path}: its data hold {found[1]} samples, its header says {found[2]}: fetch it anew"
        )
    if path.suffix == ".set" and (b"MATLAB 7.3" in path.read_bytes()[:20] or "HDF reader" in text):
        return Fault("unreadable", f"{path} is of MATLAB 7.3 (HDF5), which is not read: save it in EEGLAB as version 7")
    return Fault("unreadable", f"{path} cannot be read ({type(error).__name__}: {text}); fetch it anew")


def _edf_header(path):
    """Length in s that an EDF or BDF header promises (None: it does not know), and rates in Hz of its channels.

    mne takes the length from the file's size and brings all channels to the highest rate.
    """
    with open(path, "rb") as file:
        fixed = file.read(256)
        records, seconds, count = float(fixed[236:244]), float(fixed[244:252]) or 1.0, int(fixed[252:256])
        fields = file.read(256 * count)
        names = [fields[16 * i : 16 * i + 16].decode("latin-1").strip() for i in range(count)]
        samples = [int(fields[216 * count + 8 * i :][:8]) for i in range(count)]
        notes = [i for i, name in enumerate(names) if name in ("EDF Annotations", "BDF Annotations")]
        if fixed[192:197] in (b"EDF+D", b"BDF+D") and notes:
            _check_gaps(path, file, [n * (3 if path.suffix == ".bdf" else 2) for n in samples], notes[0], seconds)
    rates = {name: n / seconds for i, (name, n) in enumerate(zip(names, samples)) if i not in notes}
    return {"seconds": records * seconds if records > 0 else None, "rates": rates}


def _check_gaps(path, file, lengths, place, seconds):
    """Refuse an interrupted EDF+ recording: each record notes when it begins (`file` stands before the first)."""
    begins, skipped = [], sum(lengths[:place])
    while len(record := file.read(sum(lengths))) == sum(lengths):
        begins.append(float(record[skipped : skipped + lengths[place]].split(b"\x14")[0]))
    gaps = [k for k, begin in enumerate(begins) if abs(begin - begins[0] - k * seconds) > 0.001]
    if gaps:
        where = gaps[0] * seconds
        raise Fault("not-continuous", f"{path} is interrupted after {where:g} s (EDF+D): export it without gaps")


def _units(raw, edf):
    """Unit of each channel (µV for all volts, an empty text where the file names none) and the factor to it.

    mne gives SI units of what it knows, and all else as it is stored: of EDF it knows µV and mV alone.
    """
    # EEGLAB's files name no unit: they are in µV, and mne makes volts of them
    named = [str(raw._orig_units.get(name, "µV")) for name in raw.ch_names]
    known = [unit in ("µV", "mV") if edf else unit.endswith("V") or unit[:1] in ("µ", "μ", "u") for unit in named]
    scale = np.array([1e6 if si else VOLTS.get(unit, 1.0) for unit, si in zip(named, known)])
    return ["µV" if unit.endswith("V") else "" if unit == "n/a" else unit for unit in named], scale


def _check_rates(path, rates, channels, notes):
    """Note which channels mne has brought to the file's highest rate; EEG channels of unlike rates are a fault."""
    slow = [name for name in channels["name"] if rates.get(name, math.inf) < max(rates.values(), default=0)]
    eeg = {rates[name] for name in channels["name"][channels["type"] == "EEG"] if name in rates}
    if len(eeg) > 1:
        found = ", ".join(f"{rate:g}" for rate in sorted(eeg))
        raise Fault("bad-channels", f"{path} has EEG channels at {found} Hz: bring them to one rate, or type them anew")
    if slow:
        told = ", ".join(f"{name} ({rates[name]:g} Hz)" for name in slow)
        notes.append(f"brought to the file's highest rate of {max(rates.values()):g} Hz: {told}")


def _channels(raw, path, channels_tsv, notes):
    """The channels of `raw` as a BIDS table, and the factor that brings each from mne's unit to the table's.

    Types and status are those of channels.tsv, matched by name without case.
    """
    units, scale = _units(raw, path.suffix in (".edf", ".bdf"))
    own = pd.DataFrame(
        {"name": raw.ch_names, "type": [TYPES.get(kind, "MISC") for kind in raw.get_channel_types()], "units": units}
    )
    own[["status", "status_description"]] = ["good", "n/a"]
    if channels_tsv is None:
        notes.append("no channels.tsv: channel types as the reader guessed them")
    else:
        given = _given(raw, path, channels_tsv, notes)
        kinds = given["type"].str.strip().str.upper()
        if kinds.isna().any():
            notes.append(
                f"channels.tsv gives no type, MISC is taken: {', '.join(own['name'][kinds.isna().to_numpy()])}"
            )
        own["type"] = kinds.fillna("MISC").to_numpy()
        for column in ("status", "status_description"):
            if column in given:
                own[column] = given[column].fillna("n/a").to_numpy()
        own["status"] = own["status"].where(own["status"].str.strip().str.lower() == "bad", "good")
        if "units" in given:
            _settle_units(own, scale, given["units"].fillna("").str.strip(), notes)
    for name, kind, unit in zip(own["name"], own["type"], own["units"]):
        if kind == "EEG" and unit not in ("µV", ""):
            raise Fault("unreadable", f"{path}: the EEG channel {name} is in {unit!r}, not in volts: mend its unit")
    own["units"] = own["units"].replace("", "n/a")
    return own, scale


def _given(raw, path, channels_tsv, notes):
    """Rows of channels.tsv in the order of the signal, all of text."""
    try:
        given = table.read(channels_tsv, text=True)
    except (OSError, ValueError) as error:
        raise Fault("bad-channels-table", f"{channels_tsv} cannot be read ({error}): mend this file") from error
    if not {"name", "type"} <= set(given.columns):
        raise Fault("bad-channels-table", f"{channels_tsv} lacks the columns name and type")
    given["name"] = given["name"].fillna("n/a").str.strip()
    given.index = given["name"].str.lower()
    absent = [name for name in raw.ch_names if name.lower() not in given.index]
    if absent or given.index.has_duplicates:
        twice = ", ".join(given.index[given.index.duplicated()].unique()[:5])
        what = f"does not list {', '.join(absent[:5])}" if absent else f"lists a channel twice ({twice})"
        raise Fault("bad-channels-table", f"{channels_tsv} {what}: make its names those of {path}")
    lower = [name.lower() for name in raw.ch_names]
    beyond = list(given["name"][~given.index.isin(lower)])
    if beyond:
        notes.append(f"channels.tsv lists {len(beyond)} channels that the signal lacks: {', '.join(beyond[:5])}")
    given = given.loc[lower]
    cased = [name for name, other in zip(raw.ch_names, given["name"]) if name != other]
    if cased:
        notes.append(f"channels.tsv spells {len(cased)} names in another case than the signal: {', '.join(cased[:5])}")
    return given


def _settle_units(own, scale, given, notes):
    """Take the unit of channels.tsv for channels of which the file names none; note where both differ."""
    taken, unlike = [], []
    for row, (name, kind, unit, other) in enumerate(zip(own["name"], own["type"], own["units"], given)):
        if not unit and other in VOLTS and kind not in ("TRIG", "MISC"):
            own.loc[row, "units"], scale[row] = "µV", VOLTS[other]
            taken.append(f"{name} ({other})")
        elif unit == "µV" and other not in VOLTS and other not in ("", "n/a"):
            unlike.append(f"{name} ({other})")
    if taken:
        notes.append(f"the signal file names no unit, that of channels.tsv is taken: {', '.join(taken[:5])}")
    if unlike:
        notes.append(f"channels.tsv gives other units than the signal file, which is followed: {', '.join(unlike[:5])}")


def write_signal(stem, x, sfreq, channels, masks=None):
    """Write a signal as BrainVision float32: ``<stem>.vhdr``, ``.eeg`` and ``.vmrk``.

    Parameters
    ----------
    stem : path
        Path without extension.
    x : ndarray (channels, samples)
        In µV.
    sfreq : float
        In Hz.
    channels : DataFrame
        With ``name`` and ``units``.
    masks : DataFrame, optional
        Stretches as ``onset`` and ``duration`` in s and ``trial_type``, which become markers. One whose type begins
        with ``BAD`` is a marker of type ``Bad Interval``, as BrainVision's own programs set it, so that MNE's name for
        it begins with ``Bad`` as well and epochs within are dropped.
    """
    stem = Path(stem)
    volts = [unit == "µV" for unit in channels["units"]]
    pybv.write_brainvision(
        data=x * np.where(volts, 1e-6, 1.0)[:, None],
        sfreq=sfreq,
        ch_names=list(channels["name"]),
        fname_base=stem.name,
        folder_out=str(stem.parent),
        unit=["µV" if v else str(u) for v, u in zip(volts, channels["units"])],
        resolution=1.0,
        fmt="binary_float32",
        events=_markers(masks, sfreq, x.shape[1]) if masks is not None else None,
        overwrite=True,
    )
    # pybv knows three types of markers, and this is none of them
    markers = stem.with_name(f"{stem.name}.vmrk")
    text = markers.read_text(encoding="utf-8")
    markers.write_text(text.replace("=Comment,BAD", "=Bad Interval,BAD"), encoding="utf-8")


def _markers(masks, sfreq, samples):
    """Stretches as pybv takes them: first sample and number of samples, at least one, none beyond the recording."""
    found = []
    for onset, duration, kind in zip(masks["onset"], masks["duration"], masks["trial_type"]):
        first = min(round(onset * sfreq), samples - 1)
        length = min(max(1, round(duration * sfreq)), samples - first)
        found.append({"onset": first, "duration": length, "description": kind, "type": "Comment"})
    return found


def read_signal(vhdr):
    """Read back what `write_signal` wrote: ``x`` (channels, samples) in µV and ``sfreq`` in Hz."""
    for path in (Path(vhdr), Path(vhdr).with_suffix(".eeg")):
        if not path.is_file():
            raise Stopped(f"{path} was deleted: run again with `--forcerun` and its account, *_desc-clean_account.json")
    x, sfreq, _, _ = read_raw(vhdr)
    return x, sfreq


def positions(names):
    """Template positions of electrodes on the head.

    All names are looked up in the one template of `TEMPLATES` that knows most of them; where several know as many, in
    the 10-05 system, else in the one of fewest electrodes. Any other template than the 10-05 system is turned so that
    nasion and ears lie as there.

    A number says nothing by itself: E36 lies elsewhere in each size of net. A template of numbered electrodes is
    therefore taken only if the names cover more than half of its electrodes (a 64-channel cap of BioSemi, A1 to B32,
    has another layout than the 128 that begin so). Else these names are unknown, and only those that the 10-05 system
    alone knows are placed. Even so a part of a net may pass for a smaller one: E1 to E64 are those of the net of 65.

    Parameters
    ----------
    names : sequence of str
        Upper and lower case are the same; the vertex reference of an EGI net may go by its number (E65, E129, E257).

    Returns
    -------
    ndarray (channels, 3)
        In m, in the frame of the 10-05 template (x to the right, y to the front, z up); NaN for a name whose place is
        unknown.
    """
    wanted = [str(name).lower() for name in names]
    system, *numbered = map(_template, TEMPLATES)
    # of equals the first, and small ones come first
    best = max(numbered, key=lambda template: sum(name in template for name in wanted))
    known = [name for name in wanted if name in best]
    if len(known) <= sum(name in system for name in wanted):
        best = system
    elif 2 * _places(best, known) <= _places(best, best):
        best = {name: where for name, where in system.items() if name not in best}
    return np.array([best.get(name, np.full(3, np.nan)) for name in wanted]).reshape(-1, 3)


def _places(template, names):
    """How many electrodes of a template `names` are, some of which may be two names of one."""
    return len({tuple(template[name]) for name in names})


@cache
def _template(kind):
    """Position of each electrode of a template, by its name in lower case, in the frame of the 10-05 template."""
    montage = mne.channels.make_standard_montage(kind)
    found = {name.lower(): where for name, where in montage.get_positions()["ch_pos"].items()}
    if kind == TEMPLATES[0]:
        return found
    frame = mne.channels.compute_native_head_t(mne.channels.make_standard_montage(TEMPLATES[0]))["trans"]
    turn = np.linalg.solve(frame, mne.channels.compute_native_head_t(montage)["trans"])
    found = {name: turn[:3, :3] @ where + turn[:3, 3] for name, where in found.items()}
    if kind.startswith("GSN"):
        found[f"e{len(found)}"] = found["cz"]
    return found
