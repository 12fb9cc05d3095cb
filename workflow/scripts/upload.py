"""Send one dataset's derivative to one destination."""

from pathlib import Path

from hedgerow import account, log, upload

log.start(snakemake)
receipt, names = Path(snakemake.output[0]), snakemake.wildcards
done = upload.send(
    snakemake.input[0].removesuffix("_validation.json"),
    account.read(snakemake.input[0]),
    snakemake.params.block,
    name=names.destination,
    study=snakemake.params.study,
    dataset=names.dataset,
    # no output: Snakemake would delete it before the job
    cache=receipt.with_name(f".{names.dataset}_sums.tsv"),
    progress=log.Steps(),
)
log.say(f"{done['put']} files sent ({upload.size(done['put_bytes'])}), {done['same']} there, {done['removed']} removed")
account.write(receipt, done)
