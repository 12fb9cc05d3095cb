"""Train one network on all folds but one; killed, it resumes where it was."""

from hedgerow import account, log, table
from hedgerow.nets import data, train
from safetensors.torch import save_file

log.start(snakemake)
given, params, out, seed = snakemake.input, snakemake.params, snakemake.output, int(snakemake.wildcards.seed)
block = params.network
target = {"target": block["target"], "labels": block["labels"]}
found, classes = data.examples(given.stores, given.participants, given.split, **target)
role = data.roles(found, snakemake.wildcards.fold, validation=block["validation"], seed=seed)
shown = found[role != "test"].reset_index(drop=True)
X = data.load(given.stores, shown, shuffle_time=block["shuffle_time"])
weights, curve, done = train.fit(
    X,
    shown["y"].to_numpy(),
    validation=role[role != "test"] == "validation",
    n_outputs=len(classes),
    **data.settings(block, seed=seed, threads=params.threads, gpus=snakemake.resources.gpu),
    checkpoint=data.folder_of(params.checkpoint),
    progress=log.steps(),
)
save_file(weights, out.weights)
table.write(out.curve, curve)
account.write(out.account, account.ok("train", **done))
data.forget(params.checkpoint)
