"""What a scheduler says, in sentences that tell what to change (standard library only).

Three things that a run on Slurm meets and that Snakemake does not explain: a job that sbatch refuses, a job that waits
for ever because no node will ever fit it, and jobs that an earlier run of the same folder left behind when it was
killed. The commands asked are ``squeue`` and ``sinfo``; without them there is nothing to say.
"""

import os
import re
import shutil
import subprocess
import threading
import time

#: Refusals of sbatch: a pattern of its message, and the sentence. ``{...}`` are found in the call and the cluster.
REFUSALS = (
    (
        r"invalid partition|partition specified",
        "there is no partition '{partition}' (there are {partitions}): change slurm_partition in {profile}",
    ),
    (
        r"given account (?P<account>\S+) appears to be invalid\. Available accounts:\s*(?P<accounts>[^\n]*)",
        "there is no account '{account}' for you (there are {accounts}): change slurm_account in {profile}",
    ),
    (
        r"[Ii]nvalid account|specify an account|account is required",
        "the account '{account}' may not be used here: set slurm_account in {profile} to one of those that "
        "`sacctmgr show associations user=$USER format=account,partition` lists",
    ),
    (
        r"Memory specification can not be satisfied|Requested mem|more memory than",
        "a job asks for {mem} MB of memory, the largest node has {largest} MB: choose another slurm_partition, or cap "
        "all requests with `resources: [mem_mb=...]` in {profile}",
    ),
    (
        r"CPU count|more processors requested",
        "a job asks for {cpus} CPUs, the largest node has {most_cpus}: lower `threads` in the study's "
        "config, or choose another slurm_partition in {profile}",
    ),
    (
        r"generic resource|gres",
        "no node of partition '{partition}' has {gpus} (there are {models}): change gpu_model or slurm_partition of "
        "the GPU rules in {profile}, or set their `gpu` to 0",
    ),
    (
        r"time limit is invalid",
        "a job asks for {time} minutes, more than partition '{partition}' allows ({limits}): choose another "
        "slurm_partition, or cap `runtime` under `set-resources` in {profile}",
    ),
    (r"[Ii]nvalid qos", "there is no such QoS for you: change slurm-qos in {profile} (`sacctmgr show qos` lists them)"),
    (r"[Rr]eservation", "the reservation is over or unknown: change or drop slurm-reservation in {profile}"),
    (r"feature", "no node has the feature '{constraint}': change `constraint` in {profile} (`sinfo -o %f` lists them)"),
    (
        r"QOS policy|accounting/QOS|job submit limit|QOSMax|AssocMax",
        "your account or QoS does not allow a job of this size, or so many at a time: lower `jobs` in {profile}, or "
        "choose another slurm_account or slurm-qos (`sacctmgr show associations user=$USER` lists the limits)",
    ),
    (
        r"[Uu]nable to contact|timed out|Connection refused|Slurm temporarily",
        "the scheduler did not answer: it is overloaded or down; run the same command again later",
    ),
    (r"sbatch: (command )?not found", "this machine has no sbatch: run on a login node, or with the profile local"),
    (
        r"node configuration is not available|configuration not available",
        "no node fits a job of {cpus} CPUs, {mem} MB and {gpus} (the largest node has {most_cpus} CPUs and {largest} "
        "MB, GPUs are {models}): change slurm_partition or `set-resources` in {profile}",
    ),
)

#: Reasons for which a job stays pending until its request is changed, and what to change.
HOPELESS = {
    "PartitionTimeLimit": "they ask for {time}, more than partition '{partition}' allows ({limits}): choose another "
    "slurm_partition or a shorter `runtime` under `set-resources`, or smaller groups",
    "PartitionConfig": "they ask for more time, CPUs, memory or nodes than partition '{partition}' gives ({limits}): "
    "choose another slurm_partition, lower the resources under `set-resources`, or make smaller groups",
    "PartitionNodeLimit": "they ask for more nodes than partition '{partition}' gives: choose another slurm_partition",
    "BadConstraints": "no node fits them: change `constraint`, slurm_partition or gpu_model",
    "InvalidAccount": "their account is not valid: change slurm_account",
    "AccountNotAllowed": "their account may not use partition '{partition}': change slurm_account or slurm_partition",
    "InvalidQOS": "their QoS is not valid: change slurm-qos",
    "QOSNotAllowed": "their QoS may not use partition '{partition}': change slurm-qos or slurm_partition",
    "ReservationDeleted": "their reservation is gone: drop slurm-reservation",
    # limits of an account or a QoS that one job alone exceeds
    r"(QOS|Assoc)Max\w*(PerJob|PerNode)\w*": "one such job alone is more than your account or QoS allows: lower its "
    "resources under `set-resources`, or change slurm_account or slurm-qos",
}
#: Reasons for which it waits for somebody, and for whom.
WAITING = {
    "PartitionDown|PartitionInactive": "partition '{partition}' is closed for now: ask the site, or choose another "
    "slurm_partition in {profile}",
    "JobHeldUser": "they are held: `scontrol release {ids}` lets them go",
    "JobHeldAdmin": "an administrator holds them: ask the site",
    r"(QOS|Assoc)Grp\w*Minutes\w*": "the computing time of your account is spent: wait for the next period, or change "
    "slurm_account in {profile}",
}

#: Jobs of the executor bear the id of their run as name.
RUN = re.compile(r"(?:[\w-]+_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FIELDS = "%i|%T|%r|%P|%l|%j|%Z"


def profile(arguments):
    """File of the profile that a command line of Snakemake names: ``slurm/config.yaml``, or "your profile"."""
    for given, following in zip(arguments, [*arguments[1:], ""]):
        name = following if given == "--profile" else given.removeprefix("--profile=") if "--profile=" in given else ""
        if name:
            return f"{name.rstrip('/')}/config.yaml"
    return "your profile"


def advice(text, profile):
    """Sentences for what the scheduler refused in a run.

    Parameters
    ----------
    text : str
        Snakemake's log of the run.
    profile : str
        File that asks for what was refused.

    Returns
    -------
    list of str
        One sentence per kind of refusal; empty if the scheduler refused nothing.
    """
    found = {}
    blocks = re.findall(r"sbatch failed\. The error message was '(.*?)'\.\s+sbatch call:\s+([^\n]*)", text, flags=re.S)
    blocks += [(line, "") for line in re.findall(r"The given account .*?Available accounts:[^\n]*\n[^\n]*", text)]
    if "sbatch: command not found" in text or "sbatch: not found" in text:
        blocks = [("sbatch: not found", "")]
    cluster = _cluster() if blocks else {}
    for message, call in blocks:
        asked = _asked(call)
        unsaid = "configuration is not available" in message and not re.search("Memory|CPU count", message)
        if unsaid and _strange(asked["model"], cluster["models"]):
            message = "gres"
        for pattern, sentence in REFUSALS:
            match = re.search(pattern, message)
            if match:
                words = asked | cluster | match.groupdict()
                found.setdefault(sentence, f"Slurm refused: {sentence.format(profile=profile, **words)}")
                break
        else:
            found.setdefault(message, f"Slurm refused: {message.strip()}")
    return list(found.values())


def _asked(call):
    """What an sbatch call asks for, as words."""
    options = {
        "partition": r"\s-p '?([^\s']+)",
        "account": r"\s-A '?([^\s']+)",
        "mem": r"--mem (\d+)",
        "time": r"\s-t (\S+)",
        "cpus": r"--cpus-per-task=(\d+)",
        "gpus": r"--gpus=(\S+)",
        "constraint": r"\s-C '?([^\s']+)",
    }
    found = {name: re.search(pattern, call) for name, pattern in options.items()}
    words = {name: match.group(1) if match else "(none)" for name, match in found.items()}
    words["model"] = words["gpus"].partition(":")[0] if ":" in words["gpus"] else ""
    words["gpus"] = "no GPU" if words["gpus"] == "(none)" else f"GPUs '{words['gpus']}'"
    return words


def _strange(model, models):
    """Whether a GPU model is asked for that no node has."""
    return bool(model) and not re.search(rf"\b{re.escape(model)}\b", models)


def _cluster():
    """What the cluster has, as words."""
    rows = [line.split("|") for line in _ask("sinfo", "-h", "-o", "%R|%m|%c|%G|%l")]
    rows = [row for row in rows if len(row) == 5]

    def most(column):
        numbers = [int(re.match(r"\d+", row[column]).group()) for row in rows if re.match(r"\d+", row[column])]
        return str(max(numbers, default="?"))

    models = sorted({gres.split("(")[0] for row in rows for gres in row[3].split(",") if gres.startswith("gpu")})
    return {
        "partitions": ", ".join(sorted({row[0] for row in rows})) or "?",
        "largest": most(1),
        "most_cpus": most(2),
        "models": ", ".join(models) or "none",
        "limits": ", ".join(sorted({f"{row[0]}: {row[4]}" for row in rows})) or "?",
    }


def queued(folder):
    """Jobs of Snakemake runs in `folder` that wait or run: dicts of ``id, state, reason, partition, time``, ..."""
    if not shutil.which("squeue"):
        return []
    found = []
    for line in _ask("squeue", "--me", "-h", "-o", FIELDS):
        row = dict(zip(("id", "state", "reason", "partition", "time", "name", "folder"), line.split("|", 6)))
        if RUN.fullmatch(row.get("name", "")) and os.path.realpath(row["folder"]) == os.path.realpath(folder):
            found.append(row)
    return found


def leftovers(folder, patience=30.0):
    """A sentence on jobs of an earlier run in `folder`, None if there are none.

    A run that is killed (not interrupted) leaves its jobs with the scheduler; started again, it would write the same
    files as they do. For jobs that are just ending it waits, `patience` seconds at most.
    """
    jobs, end = queued(folder), time.monotonic() + patience
    while jobs and all(job["state"] == "COMPLETING" for job in jobs) and time.monotonic() < end:
        time.sleep(1)
        jobs = queued(folder)
    if not jobs:
        return None
    ids = " ".join(job["id"] for job in jobs)
    return (
        f"{len(jobs)} jobs of another run in this folder are with the scheduler ({ids}) and may write the same files. "
        f"Was that run killed? Then `scancel {ids}` (trainings go on from their checkpoints) and run again. Does it "
        "still go on? Then wait for it, or run in another folder"
    )


def hopeless(jobs, profile):
    """Sentences on those of `jobs` (of `queued`) that wait for what will not come by itself.

    Parameters
    ----------
    jobs : list of dict
    profile : str
        File that asks for what they wait for.

    Returns
    -------
    list of str
        One sentence per reason and partition.
    """
    groups = {}
    for job in jobs:
        if job["state"] == "PENDING":
            groups.setdefault((job["reason"].strip("()"), job["partition"]), []).append(job)
    sentences, limits = [], None
    for (reason, partition), members in groups.items():
        request = next((words for pattern, words in HOPELESS.items() if re.fullmatch(pattern, reason)), None)
        wait = next((words for pattern, words in WAITING.items() if re.fullmatch(pattern, reason)), None)
        if not request and not wait:
            continue
        limits = limits or _cluster()["limits"]
        ids = " ".join(job["id"] for job in members)
        words = (request or wait).format(
            partition=partition, time=members[0]["time"], ids=ids, profile=profile, limits=limits
        )
        if request:
            way = f"interrupt Snakemake (Ctrl-C; its jobs go with it), mend {profile}, and run again"
            sentences.append(f"Slurm will never start jobs {ids} ({reason}): {words}; {way}")
        else:
            sentences.append(f"Slurm does not start jobs {ids} ({reason}): {words}")
    return sentences


def watch(folder, profile, say, first=15.0, every=60.0):
    """Tell through `say`, once each and in the background, which jobs of `folder` will never start.

    Parameters
    ----------
    folder : path
        Where Snakemake runs.
    profile : str
        File that asks for what the jobs wait for.
    say : callable
    first, every : float
        Seconds until the queue is looked at, and between further looks.

    Returns
    -------
    threading.Event or None
        Ends the watch when set; None where there is no ``squeue``.
    """
    if not shutil.which("squeue"):
        return None

    def look():
        told, pause = set(), first
        while not stop.wait(pause):
            pause = every
            for sentence in hopeless(queued(folder), profile):
                if sentence not in told:
                    told.add(sentence)
                    say(sentence)

    stop = threading.Event()
    threading.Thread(target=look, name="watch", daemon=True).start()
    return stop


def mend(executor, requeue=False):
    """Make the Slurm executor (version 2.8.0) notice jobs for which it would wait for ever.

    - A job that somebody cancelled: sacct says ``CANCELLED by 1000``, the executor looks for ``CANCELLED``. The first
      word is the state.
    - A job that was preempted: the executor leaves it to Slurm to start it again, which it does not under
      ``slurm-no-requeue``. It counts as failed, and is sent again.
    - A group of jobs that could not be submitted: the executor stumbles over its own error message, which asks the
      group for its rule, and never says that the group failed.

    Parameters
    ----------
    executor : module or None
        ``snakemake_executor_plugin_slurm`` where it is in use.
    requeue : bool
        Whether Slurm starts preempted jobs again.
    """
    if executor is None or hasattr(executor, "mended"):
        return
    query, run_job = executor.query_job_status, executor.Executor.run_job

    async def states(*arguments):
        found, seconds = await query(*arguments)
        words = {job: state.split(" ")[0] for job, state in (found or {}).items()}
        if not requeue:
            words = {job: "FAILED" if state == "PREEMPTED" else state for job, state in words.items()}
        return words if found is not None else None, seconds

    def run(self, job):
        try:
            return run_job(self, job)
        except AttributeError as error:
            words = f"Job submission failed with exception: {error.__context__ or error}"
            self._report_job_error_threadsafe(executor.SubmittedJobInfo(job), words)

    executor.query_job_status, executor.Executor.run_job, executor.mended = states, run, True


def _ask(*command):
    """Lines that a command prints; none if it is missing, fails or takes too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.splitlines()
