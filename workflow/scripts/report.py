"""One page for the whole study."""

from pathlib import Path

from hedgerow import log, report, table

log.start(snakemake)
files = dict(snakemake.input.items())
files["stores"] = [path for manifest in files.pop("manifests") for path in table.read(manifest)["store"]]
params = snakemake.params
text = report.page(files, config=params.config, about=params.about, opened=params.opened)
Path(snakemake.output[0]).write_text(text, encoding="utf-8")
log.say(f"{len(text) / 1e6:.1f} MB")
