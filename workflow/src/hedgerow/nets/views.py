"""Windows as the objects of other libraries: MNE's epochs, xarray's arrays, braindecode's datasets."""

import numpy as np


def to_mne(windows):
    """All `windows` (`hedgerow.nets.loader.Windows`) as `mne.EpochsArray`.

    Samples are in V. The `table` is the metadata, and the target, where it has classes, gives the names of the events;
    electrodes whose positions are known are placed on the head.
    """
    import mne

    info = mne.create_info(windows.names, windows.sfreq, "eeg")
    classes = windows.classes or [windows.target]
    codes = windows.y.numpy() if windows.classes else np.zeros(len(windows), dtype=int)
    events = np.column_stack([np.arange(len(windows)), np.zeros(len(windows), dtype=int), codes + 1])
    epochs = mne.EpochsArray(
        windows[:][0].numpy() * 1e-6,
        info,
        events=events,
        event_id={name: number for number, name in enumerate(classes, 1) if number - 1 in codes},
        tmin=windows.tmin,
        metadata=windows.table,
        verbose="error",
    )
    placed = {name: where for name, where in zip(windows.names, windows.positions or ()) if where is not None}
    if placed:
        # by its nasion and ears MNE turns the frame of the template into that of the head, 5 cm lower
        template = mne.channels.make_standard_montage("colin27_1005").get_positions()
        ears = {name: template[name] for name in ("nasion", "lpa", "rpa", "coord_frame")}
        montage = mne.channels.make_dig_montage(placed, **ears)
        epochs.set_montage(montage, on_missing="ignore", verbose="error")
    return epochs


def to_xarray(windows):
    """All `windows` as `xarray.DataArray`: (window, channel, time) in µV; columns of the `table` are coordinates."""
    import xarray

    columns = {str(name): ("window", values.to_numpy()) for name, values in windows.table.items() if name != "window"}
    time = windows.tmin + np.arange(windows.samples) / windows.sfreq
    coordinates = {"channel": windows.names, "time": ("time", time, {"units": "s"}), **columns}
    values, attrs = windows[:][0].numpy(), {"units": "µV", "sfreq": windows.sfreq}
    return xarray.DataArray(values, coordinates, ("window", "channel", "time"), "signal", attrs)


def to_braindecode(windows):
    """All `windows` as braindecode's ``BaseConcatDataset`` of a ``WindowsDataset`` for each recording, in their order.

    Items are ``(X, y, crop_inds)`` with X in µV, as its networks want it: from values in V they learn nothing, for
    their normalisation takes these for zero. So do not scale them again. The epochs within (``datasets[0].windows``)
    are in V as everywhere in MNE, and so is what ``save`` and ``push_to_hub`` write; their metadata are the `table`.
    The description has the columns that have one value in each recording: subject, split, and what else is known of
    people. All samples are held in memory.
    """
    try:
        from braindecode.datasets import BaseConcatDataset, WindowsDataset
    except (ImportError, OSError) as error:
        raise ImportError(
            f"braindecode cannot be imported ({error}): install it with a torchaudio that fits your torch"
        ) from error
    by_store = windows.table.groupby("store", sort=False)
    spread = by_store.nunique(dropna=False).max()
    shared, found = spread.index[spread <= 1], []
    for rows in by_store.indices.values():
        one = windows.subset(rows)
        # a trial is an event; samples count from the start of the recording
        start = np.rint(one.table["onset"] * windows.sfreq).astype(int)
        one.table = one.table.assign(
            i_window_in_trial=one.table.groupby("event").cumcount(),
            i_start_in_trial=start,
            i_stop_in_trial=start + windows.samples,
            target=one.y.numpy(),
        )
        found.append(WindowsDataset(to_mne(one), windows.table.loc[rows[0], shared], transform=_microvolts))
        found[-1].window_kwargs = []  # without it braindecode reads nothing back that it saved
    return BaseConcatDataset(found)


def _microvolts(x):
    """From V."""
    return x * np.float32(1e6)
