"""Deal the people of the study to folds by a keyed hash."""

from hedgerow import log, rows, split, table

log.start(snakemake)
people = rows.people(snakemake.input.recordings, snakemake.input.participants, snakemake.params.chosen)
dealt = split.assign(people, **snakemake.params.split)
dealt["left_out"] = dealt.groupby("person")["label"].transform("first")
log.say(
    f"{len(dealt)} subjects in {dealt['fold'].nunique()} folds: {dealt['fold'].value_counts().sort_index().to_dict()}"
)
table.write(snakemake.output[0], dealt[["dataset", "subject", "person", "fold", "left_out"]])
