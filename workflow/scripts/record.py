"""Note stage, size and digest of every result of the study."""

from hedgerow import log, record, study

log.start(snakemake)
params = snakemake.params
about = study.Study(params.config, index=lambda dataset: None)
found = record.make(about, cache=params.cache)
log.say(f"{len(found)} results, {sum(entry.size for entry in found.values()) / 1e6:.1f} MB")
