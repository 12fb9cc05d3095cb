"""Clean signals of a published tree, as a reader of another project gets them, against the bytes that were written."""

import json
import re

import mne_bids
import numpy as np

from hedgerow import table

#: What mne calls the types of BIDS.
KINDS = {"EEG": "eeg", "EOG": "eog", "ECG": "ecg", "EMG": "emg", "MISC": "misc", "TRIG": "stim"}


def read_back(tree):
    """Read every clean signal below `tree` by mne-bids, and hold it against its .eeg file; how many there are."""
    headers = sorted(tree.rglob("*_desc-clean_eeg.vhdr"))
    for header in headers:
        stem = header.name.removesuffix("_desc-clean_eeg.vhdr")
        path = mne_bids.get_bids_path_from_fname(header).update(root=tree)
        assert path.fpath == header and path.description == "clean"
        raw = mne_bids.read_raw_bids(path, verbose="error")
        channels = table.read(header.with_name(f"{stem}_desc-clean_channels.tsv"), text=True)
        sidecar = json.loads(header.with_suffix(".json").read_text(encoding="utf-8"))
        assert raw.ch_names == channels["name"].tolist(), stem
        assert raw.get_channel_types() == [KINDS[kind] for kind in channels["type"]], stem
        bad = channels["name"][channels["status"] == "bad"].tolist()
        assert sorted(raw.info["bads"]) == sorted(bad), stem
        written = _written(header, len(channels))
        assert raw.info["sfreq"] == sidecar["SamplingFrequency"], stem
        assert np.array_equal(raw.times, np.arange(written.shape[1]) / sidecar["SamplingFrequency"]), stem
        scale = np.array([1e6 if unit == "µV" else 1.0 for unit in channels["units"]])
        assert np.array_equal((raw.get_data() * scale[:, None]).astype("<f4"), written), stem
        assert np.isfinite(written).all() and (np.ptp(written, axis=1) > 0).any(), stem
    return len(headers)


def _written(header, channels):
    """Samples (channels, samples) in the file beside a header of BrainVision, by numpy alone."""
    text = header.read_text(encoding="utf-8")
    said = dict(re.findall(r"^(\w+)=(.*)$", text, flags=re.M))
    assert (said["DataOrientation"], said["BinaryFormat"]) == ("MULTIPLEXED", "IEEE_FLOAT_32")
    assert int(said["NumberOfChannels"]) == channels
    return np.fromfile(header.with_suffix(".eeg"), "<f4").reshape(-1, channels).T
