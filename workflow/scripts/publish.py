"""Gather one dataset's derivative, seal it, and hold it against the official validator and our own checks."""

from pathlib import Path

from hedgerow import account, crate, layout, log, overrides, publish, table, usage, validation

log.start(snakemake)
given, params, tree = snakemake.input, snakemake.params, Path(snakemake.output.description).parent
dataset, ending, images = snakemake.wildcards.dataset, "_desc-clean_account.json", log.images()
rows = overrides.within(layout.rows(given.recordings), params.about)
known = {"raw": layout.root(dataset), "recordings": rows, "participants": table.read(given.participants, text=True)}
known |= {"stems": (path.removesuffix(ending) for path in given.files if path.endswith(ending))}
known |= {"split": table.read(given.split[0]) if given.split else None, "method": params.method}
known |= {"clone": account.read(given.receipt[0]) if given.receipt else None, "images": images}
done = publish.gather(tree, dataset=dataset, features=given.features, config=given.config, **known)
used = usage.hours("results/logs", dataset=dataset, rules=crate.STAGES, **params.used_by)
versions = log.versions() | done["versions"]
done |= publish.seal(tree, study=params.used_by["study"], usage=used, versions=versions, images=images)
published = set(done["published"])
done |= validation.validate(tree, {row["rec"]: row["signal"] for row in rows if row["rec"] in published})
log.say(f"{done['files']} files, {done['errors']} errors: {done['codes']}; {done['licence']['sentence']}")
account.write(snakemake.output.validation, done)
