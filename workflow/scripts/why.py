"""Tell what left the study and what to do; reads what is there, writes nothing."""

from hedgerow import study, why

params = snakemake.params
why.say(why.tell(study.Study(params.config, index=None), params.recording))
