"""Train one network on all folds but one; killed, it resumes where it was."""

from safetensors.torch import save_file

from hedgerow import account, log, store, table
from hedgerow.nets import data, train

log.start(snakemake)
given, params, out, wildcards = snakemake.input, snakemake.params, snakemake.output, snakemake.wildcards
block, seed = params.network, int(wildcards.seed)
stores = store.listed(given.manifest)
found, classes = data.examples(stores, given.participants, given.split, block)
role = data.roles(found, wildcards.fold, validation=block["validation"], seed=seed)
log.say(f"windows to {data.counts(role)}, classes {', '.join(classes)}")
task = data.task(stores, found, role, block, n_outputs=len(classes))
settings = data.settings(block, seed=seed, threads=params.threads, gpus=snakemake.resources.gpu)
weights, curve, done = train.fit(**task, **settings, checkpoint=params.checkpoint, progress=log.steps())
save_file(weights, out.weights)
table.write(out.curve, curve)
account.write(out.account, account.ok("train", **done))
data.forget(params.checkpoint)
