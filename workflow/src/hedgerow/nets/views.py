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
        montage = mne.channels.make_dig_montage(placed, coord_frame="head")
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
    """All `windows` as braindecode's ``BaseConcatDataset``: a ``WindowsDataset`` a recording, in the unit of MNE, V."""
    try:
        from braindecode.datasets import BaseConcatDataset, WindowsDataset
    except (ImportError, OSError) as error:
        raise ImportError(
            f"braindecode cannot be imported ({error}): install it with a torchaudio that fits your torch"
        ) from error
    found = []
    for _, rows in sorted(windows.table.groupby("store").indices.items()):
        epochs = to_mne(windows.subset(rows))
        # what braindecode reads of each window
        epochs.metadata = epochs.metadata.assign(
            i_window_in_trial=np.arange(len(rows)),
            i_start_in_trial=-1,
            i_stop_in_trial=-1,
            target=windows.y[rows].numpy(),
        )
        first = windows.table.iloc[rows[0]]
        whose = {name: first[name] for name in ("dataset", "subject", "rec", "split") if name in first}
        found.append(WindowsDataset(epochs, whose))
    return BaseConcatDataset(found)
