"""Write the merged config of the run, defaults included."""

import yaml

from hedgerow import log

log.start(snakemake)
with open(snakemake.output[0], "w", encoding="utf-8") as file:
    yaml.safe_dump(snakemake.params.config, file, sort_keys=False, allow_unicode=True)
