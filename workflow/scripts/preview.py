"""Tell what uploads would send; reads what is here and there, writes nothing."""

from hedgerow import upload, why

params = snakemake.params
why.say(upload.preview(params.uploads, study=params.study, datasets=params.datasets))
