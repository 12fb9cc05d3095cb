"""Keep the parameters of a block beside the results made with them."""

from hedgerow import account, log

log.start(snakemake)
account.write(snakemake.output[0], snakemake.params.block)
