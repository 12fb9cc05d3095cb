"""Power spectral density of every window of one dataset part."""

from hedgerow import _array, log, rows, spectra, store

log.start(snakemake)
device = _array.device(snakemake.resources.gpu)
options = {key: value for key, value in snakemake.params.feature.items() if key != "selection"}
parts = []
for path in snakemake.input.stores:
    signal, _, attrs = store.read(path)
    if len(signal):
        frequency, power = spectra.psd(_array.to_device(signal, device), attrs["sfreq"], **options)
        parts.append((path, frequency, _array.to_numpy(power), attrs))
arrays, attrs = rows.features(parts)
log.say(f"{len(arrays['window'][0])} windows on {device}")
store.write_arrays(snakemake.output[0], arrays, {**attrs, "device": device})
