"""What a run says when it starts and when it ends. No rules here; the jobs of a cluster skip this."""

import gc

from hedgerow import cluster, progress

# The jobs of a large study are millions of objects that stay: looking for garbage among them is a tenth of the work.
gc.set_threshold(100_000, 50, 1000)

PROFILE = cluster.profile(sys.argv)
#: Rules that print what there is to say, and make nothing.
ONLY_TELL = {"why", "verify", "preview"}


onstart:
    STUDY.place()
    # they read what is there, whatever state that is in
    told = set(workflow.dag_settings.targets or ["all"]) <= ONLY_TELL
    leftovers = None if told else cluster.leftovers(os.getcwd())
    if leftovers:
        raise WorkflowError(leftovers)
    requeue = getattr(workflow.executor_settings, "requeue", False)
    cluster.mend(sys.modules.get("snakemake_executor_plugin_slurm"), requeue)
    cluster.watch(os.getcwd(), PROFILE, logger.warning)
    for sentence in () if told else progress.totals(STUDY):
        print(sentence)


onsuccess:
    if not set(workflow.dag_settings.targets or ["all"]) <= ONLY_TELL:
        print(STUDY.summary())


onerror:
    # what `verify` found wrong is told already
    if set(workflow.dag_settings.targets or ["all"]) != {"verify"}:
        print(STUDY.summary() + "; a job failed: its log is named above")
    for file in log:
        for sentence in cluster.advice(Path(file).read_text(encoding="utf-8"), PROFILE):
            print(sentence)
