"""One page for the whole study."""

from pathlib import Path

from hedgerow import log, report

log.start(snakemake)
text = report.page(snakemake.input, config=snakemake.params.config, about=snakemake.params.about)
Path(snakemake.output[0]).write_text(text, encoding="utf-8")
log.say(f"{len(text) / 1e6:.1f} MB")
