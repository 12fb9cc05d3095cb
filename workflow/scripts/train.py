"""Train one network on all folds but one; killed, it resumes where it was."""

from hedgerow import account, log, store, table
from hedgerow.nets import data, jobs, train, trained

log.start(snakemake)
given, params, out, wildcards = snakemake.input, snakemake.params, snakemake.output, snakemake.wildcards
block, seed, lent = params.network, int(wildcards.seed), snakemake.resources
found, names = data.examples(store.listed(given.manifest), given.participants, given.split, block)
role = data.roles(found, wildcards.fold, block, seed=seed)
log.say(f"windows to {data.counts(role)}, {block['task']} of {', '.join(names)}")
task, about = data.task(given.manifest, given.features, found, role, block, names)
settings = jobs.settings(block, seed=seed, threads=params.threads, gpus=lent.gpu)
how = {
    "workers": lent.workers,
    "other_build": bool(lent.other_build),
    "checkpoint": params.checkpoint,
    "code": params.code,
}
weights, curve, done = train.fit(**task, **settings, **how, progress=log.Steps(board=params.board))
trained.save(out.weights, weights, jobs.described(block, names, about, done, seed=seed, fold=wildcards.fold))
table.write(out.curve, curve)
account.write(out.account, account.ok("train", **done))
jobs.forget(params.checkpoint)
