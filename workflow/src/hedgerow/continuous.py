"""The continuous clean signal of recordings, at the montage, band and rate of a selection, and its good samples.

For what windows cannot tell: responses that overlap.
"""

import numpy as np

from hedgerow import account, io, montage, table


def signals(stores, selection):
    """Clean signals, one recording after the other.

    Parameters
    ----------
    stores : iterable of path
        Windows stores of the recordings; the clean signal of each stands beside it (``_desc-clean_``).
    selection : dict
        Block of the config: ``channels``, ``channels_by``, ``lowpass``, ``sfreq`` and ``reject``.

    Yields
    ------
    store : path
    x : ndarray (channels, samples)
        EEG in µV.
    sfreq : float
        In Hz.
    names : list of str
        Channels.
    good : ndarray of bool (samples,)
        False where the cleaning marked a bad segment; True everywhere if ``reject`` is None, as windows there stay.

    Raises
    ------
    hedgerow.account.Fault, hedgerow.account.Stopped
        As `hedgerow.montage` and `hedgerow.io.read_signal`.
    """
    for store in stores:
        stem = f"{str(store).removesuffix('_windows.zarr.zip').rpartition('_desc-')[0]}_desc-clean"
        (x, sfreq), channels = io.read_signal(f"{stem}_eeg.vhdr"), table.read(f"{stem}_channels.tsv")
        segments = account.read(f"{stem}_account.json")["bad_segments"]
        eeg = (channels["type"] == "EEG").to_numpy()
        x, channels = x[eeg], channels[eeg]
        unusable = list(channels["name"][channels["status"] == "bad"])
        how = {"by": selection["channels_by"], "locate": io.positions, "unusable": unusable}
        x, names, _, _ = montage.place(x, list(channels["name"]), selection["channels"], **how)
        x, sfreq = montage.resample(montage.lowpass(x, sfreq, selection["lowpass"]), sfreq, selection["sfreq"])
        yield store, x, sfreq, names, good(x.shape[1], sfreq, segments if selection["reject"] is not None else ())


def good(samples, sfreq, bad_segments):
    """Mask (samples,) of the samples that lie in no bad segment.

    Parameters
    ----------
    samples : int
    sfreq : float
        In Hz; sample k lies at k / sfreq.
    bad_segments : sequence of (float, float), or None
        Start and end in s; the end is not part of it.
    """
    mask = np.ones(samples, dtype=bool)
    for start, stop in bad_segments or ():
        # the rounding takes the noise of floats off a whole sample
        first, last = np.ceil(np.round(np.array([start, stop]) * sfreq, 6)).astype(int)
        mask[first:last] = False
    return mask
