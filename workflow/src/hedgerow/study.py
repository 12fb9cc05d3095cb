"""What the rules need to know of a study: its recordings, their files and their identity (standard library only).

It runs whenever the Snakefile is parsed, on a cluster in every job, and therefore reads small tables and nothing else.
"""

import os
from functools import cache
from pathlib import Path

from . import account, filters, overrides
from ._words import ConfigError
from .layout import SOURCE, part_of, rows, tree

INDEX = "results/index/{dataset}/recordings.tsv"
DERIVATIVES = "results/derivatives/{dataset}/{recipe}/{rec}"
#: People below which a grid is handed the windows themselves; many more than it needs for inference over people, for
#: some may leave on the way.
FEW = 50
FEATURES = "results/derivatives/{dataset}/{recipe}/features"


class Study:
    """Paths of a study's per-recording results.

    Parameters
    ----------
    config : dict
        The completed config.
    index : callable
        ``index(dataset) -> path`` of its ``recordings.tsv``; may raise what makes Snakemake wait for the checkpoint.
    in_job : bool
        Whether the Snakefile is parsed by a job of a cluster: what costs a walk through the dataset is left out.
    """

    def __init__(self, config, index, in_job=False):
        self.config = config
        self.index = index
        self.in_job = in_job
        self.lines = overrides.read(config["overrides"])
        indexed = [path.parent.name for path in Path().glob(INDEX.format(dataset="*"))]
        overrides.check_datasets(self.lines, config["overrides"], [*config["datasets"], *indexed])
        #: Whether any dataset is fetched; where none is, the rules of large studies need not ask for each recording.
        self.fetches = any(self.remote(dataset) for dataset in config["datasets"])
        self._by_name = overrides.by_name(self.lines)
        self._scopes, self._trees = {}, {}

    def recordings(self, dataset):
        """Rows of ``recordings.tsv`` that the study uses: of its `scope` those with status ok."""
        self.index(dataset)
        return [row for row in self.scope(dataset) if row["status"] == "ok"]

    def scope(self, dataset, *, absent=False):
        """Rows of ``recordings.tsv`` as it is there now (none if it is not) that the study is about, of any status.

        Those that ``only`` leaves, up to the last subject of the ``pilot``; one that an override rejects is
        quarantined as ``rejected``.

        Parameters
        ----------
        dataset : str
        absent : bool
            A subject counts for the pilot if the events of a recording are there, even where its signal is not.

        Raises
        ------
        hedgerow.config.ConfigError
            A filter or an override that names what is not in the table.
        """
        path = Path(INDEX.format(dataset=dataset))
        if not path.is_file():
            return []
        stat = path.stat()
        key = (dataset, absent, stat.st_mtime_ns, stat.st_size)
        if key not in self._scopes:
            self._scopes[key] = self._scope(dataset, path, absent)
        return self._scopes[key]

    def _scope(self, dataset, path, absent):
        listed, only = rows(path), self.config["datasets"][dataset]["only"]
        table = self.config["overrides"]
        overrides.check_recordings(self.lines, table, dataset, [row["rec"] for row in listed])
        people = rows(path.with_name("participants.tsv")) if only else []
        found = filters.matching(listed, people, only, f"datasets.{dataset}.only")
        why = {row["rec"]: overrides.rejection(self.said(dataset, row["rec"]), table) for row in found}
        found = overrides.within(found, why)
        counted = {row["subject"] for row in found if row["status"] == "ok" or (absent and coverable(row))}
        pilot = self.config["pilot"]
        if pilot is None or len(counted) < pilot:
            return found
        last = sorted(counted)[pilot - 1]
        return [row for row in found if row["subject"] <= last]

    def _settled(self, dataset, absent=False):
        """`scope` for a parameter, by the table that is there now: parameters of a run that has nothing to do must be
        those of the last one. Snakemake asks again once a table that is outdated has been made anew."""
        try:
            return self.scope(dataset, absent=absent)
        except ConfigError:
            self.index(dataset)  # an outdated table is no reason to stop
            raise

    def said(self, dataset, rec):
        """What overrides say of one recording, see `hedgerow.overrides.settle`."""
        return overrides.settle(self.told(dataset, rec)) if self.lines else {}

    def told(self, dataset, rec):
        """Lines of the table of overrides on one recording."""
        return overrides.of(self._by_name, dataset, rec)

    def override(self, dataset, rec, *what):
        """Those overrides of one recording that concern a rule (``bad``, ``shift`` ...); empty for most recordings."""
        said = self.said(dataset, rec)
        # a rejected recording that was reinstated is one like all others
        waived = [entry for entry in said.pop("reinstate", ()) if entry["value"] != "rejected"]
        said |= {"reinstate": waived} if waived else {}
        return {name: said[name] for name in what if name in said}

    def chosen(self, dataset=None):
        """Names of the recordings that the study uses, sorted, by dataset (or those of one): a parameter of its rules.

        They are no matter of ``recordings.tsv`` alone, which studies share.
        """
        if dataset is not None:
            return sorted(row["rec"] for row in self._settled(dataset) if row["status"] == "ok")
        return {name: self.chosen(name) for name in self.config["datasets"]}

    def about(self, dataset=None, *, absent=False):
        """As `chosen`, of the whole `scope`: by recording why it is rejected, None where it is not."""
        if dataset is None:
            return {name: self.about(name, absent=absent) for name in self.config["datasets"]}
        found = self._settled(dataset, absent)
        return {row["rec"]: row["message"] if row["reason"] == "rejected" else None for row in found}

    def shifts(self, dataset, *, absent=False):
        """Seconds that overrides add to the onsets of recordings of a dataset, where they do."""
        found = {row["rec"]: self.override(dataset, row["rec"], "shift") for row in self._settled(dataset, absent)}
        return {rec: said["shift"][0]["value"] for rec, said in found.items() if said}

    def check(self):
        """Refuse filters and overrides that mean nothing, of every dataset whose table is there and not outdated.

        Raises
        ------
        hedgerow.config.ConfigError
        """
        for dataset in () if self.in_job else self.config["datasets"]:
            known = Path(f"results/index/{dataset}/tree.json")
            if not known.is_file() or account.read(known)["tree"] != self.tree(dataset):
                continue
            # a simulation of other parameters and a clone of another version will have another table
            block, made = self.config["datasets"][dataset], {}
            for receipt in filter(os.path.isfile, self.receipt(dataset)):
                made = account.read(receipt)
            if self.receipt(dataset) and not made:
                continue
            if all(made.get(key, value) == value for key, value in block.items() if value is not None):
                self.scope(dataset)

    def row(self, dataset, rec, *names):
        """The entries `names` of the row of one recording: where its files are, and which content they have."""
        path = INDEX.format(dataset=dataset)
        if not os.path.isfile(path):
            raise ValueError(f"{path} is missing: run `snakemake {path}` first, or ask for a target of the study")
        found = by_rec(path).get(rec)
        if found is None:
            raise ValueError(
                f"{path} lists no recording {rec!r}: mend the name, or run `snakemake {path}` first if it is new"
            )
        return {name: found[name] for name in names}

    def files(self, pattern, dataset=None, part=None):
        """`pattern` filled in for every recording of the study (or of one `dataset`, or of one part of it).

        ``{dataset}``, ``{recipe}`` and ``{rec}`` are filled in; other braces must be filled in already.
        """
        names = list(self.config["datasets"]) if dataset is None else [dataset]
        return [
            pattern.format(dataset=name, recipe=self.config["recipe"], rec=row["rec"])
            for name in names
            for row in self.recordings(name)
            if part is None or part_of(row["subject"], self.config["parts"]) == part
        ]

    def parts(self, pattern, dataset=None, part=None):
        """`pattern` (with ``{dataset}``, ``{recipe}``, ``{part}``) for every dataset and part that has a recording."""
        names = list(self.config["datasets"]) if dataset is None else [dataset]
        found = {(d, part_of(row["subject"], self.config["parts"])) for d in names for row in self.recordings(d)}
        recipe = self.config["recipe"]
        chosen = sorted((d, p) for d, p in found if part is None or p == part)
        return [pattern.format(dataset=d, recipe=recipe, part=p) for d, p in chosen]

    def split(self):
        """Keywords of `hedgerow.split.assign`: as configured, or one fold a person if no network asks for others."""
        asked = {block["folds"] for block in self.config["networks"].values()}
        return self.config["split"] if asked & {"split", "holdout"} else {"method": "leave-one-subject-out"}

    def split_table(self):
        """``split.tsv`` where a network needs one, else nothing."""
        return [f"results/studies/{self.config['study']}/split.tsv"] if self.config["networks"] else []

    def folds(self, network):
        """Names of the folds of a network: ``1..k``, or what is left out: ``<dataset>-<subject>``, ``<dataset>``."""
        folds = self.config["networks"][network]["folds"]
        if folds == "leave-one-subject-out":
            people = {f"{d}-{row['subject']}" for d in self.config["datasets"] for row in self.recordings(d)}
            return sorted(people)
        if folds == "leave-one-dataset-out":
            return sorted(self.config["datasets"])
        return [str(fold + 1) for fold in range(1 if folds == "holdout" else self.config["split"]["folds"])]

    def network(self, name, *keys, without=()):
        """The keys of a network that change the results of a rule, for its parameters: those named, or all but some."""
        block = self.config["networks"][name]
        return {key: block[key] for key in keys or block if key not in without}

    def shown(self, network):
        """Feature stores that a network is shown; none where it is shown the windows."""
        name = self.config["networks"][network]["feature"]
        if name is None:
            return []
        return self.parts(f"{FEATURES}/{self.config['features'][name]['selection']}_{name}_{{part}}.zarr.zip")

    def judged(self):
        """What networks reached, and comparisons of those that can be compared."""
        folder = f"results/studies/{self.config['study']}/networks"
        return [*(f"{folder}/{name}/metrics.json" for name in self.config["networks"]), *self.compared()]

    def compared(self):
        """Comparisons of networks, where there are several."""
        folder = f"results/studies/{self.config['study']}"
        several = len(self.config["networks"]) > 1
        return [f"{folder}/comparisons.{ending}" for ending in ("tsv", "json")] if several else []

    def seeds(self, network):
        """Seeds with which a network is trained, the one that counts first."""
        block = self.config["networks"][network]
        return [block["seed"] + k for k in range(1 + block["further_seeds"])]

    def stores(self, selections=None, dataset=None, part=None):
        """Windows stores of the study: of all selections or of those named."""
        names = self.config["selections"] if selections is None else selections
        return [
            path for name in names for path in self.files(f"{DERIVATIVES}_desc-{name}_windows.zarr.zip", dataset, part)
        ]

    def features(self, dataset=None):
        """Feature stores of the study, or of one dataset."""
        return [
            path
            for name, block in self.config["features"].items()
            for path in self.parts(f"{FEATURES}/{block['selection']}_{name}_{{part}}.zarr.zip", dataset)
        ]

    def values(self, model, dataset=None, part=None):
        """Stores that hold the dependent values of a model: windows, or one of their features."""
        block = self.config["models"][model]
        if not block["feature"]:
            return self.stores([block["selection"]], dataset, part)
        return self.parts(f"{FEATURES}/{block['selection']}_{block['feature']}_{{part}}.zarr.zip", dataset, part)

    def values_of_few(self, model):
        """Stores of `values`, where inference may be over trials, asked for or for want of people; else none: moments
        do."""
        block = self.config["models"][model]
        if block["bootstrap"] in ("pairs", "wild"):
            return self.values(model)
        if block["bootstrap"] in ("clusters", "wild-clusters") or block["lags"]:
            return []
        people = {(d, row["subject"]) for d in self.config["datasets"] for row in self.recordings(d)}
        return self.values(model) if len(people) < FEW else []

    def model(self, name, *keys, without=()):
        """The keys of a model that change the results of a rule, for its parameters: those named, or all but some."""
        block = self.config["models"][name]
        return {key: block[key] for key in keys or block if key not in without}

    def grid(self, model, *names):
        """Files of a model's folder; ``{dataset}`` and ``{part}`` in a name are filled in for every part."""
        folder = f"results/studies/{self.config['study']}/grid/{model}"
        found = [self.parts(f"{folder}/{name}") if "{part}" in name else [f"{folder}/{name}"] for name in names]
        return [path for paths in found for path in paths]

    def moments(self, model):
        """Moments of every part: of windows, or of the continuous signal where the model has lags."""
        kind = "rerp" if self.config["models"][model]["lags"] else "moments"
        return self.grid(model, f"{kind}_{{dataset}}_{{part}}.npz")

    def drawn(self, model, names):
        """Files `names` of the blocks of replicates of a model; none where it resamples nothing."""
        return [] if self.config["models"][model]["bootstrap"] == "none" else self.grid(model, *names)

    def influences(self):
        """Tables of how much each window weighs, of the models that ask for them."""
        asked = [name for name, block in self.config["models"].items() if block["influence"]]
        return [path for name in asked for path in self.grid(name, "influence_{dataset}_{part}.tsv")]

    def unfinished(self, model, scatteritem):
        """Where a bootstrap keeps what it has drawn (no output: Snakemake would delete it after a fault)."""
        return self.grid(model, f"unfinished_{scatteritem}")[0]

    def largest_mb(self):
        """Megabytes of raw signal of the largest part of a dataset."""
        total = {}
        for name in self.config["datasets"]:
            for row in (row for row in self.scope(name) if row["status"] == "ok"):
                part = (name, part_of(row["subject"], self.config["parts"]))
                total[part] = total.get(part, 0) + int(float(row["size"] or 0))
        return -(-max(total.values(), default=0) // 10**6)

    def mb(self, paths):
        """Megabytes of files that are there, rounded up; what a job asks memory by once its inputs are made."""
        # of a single file Snakemake gives its path
        return -(-sum(os.path.getsize(path) for path in ([paths] if isinstance(paths, str) else paths)) // 10**6)

    def drawing_minutes(self, model, scratch):
        """Minutes that a block of a model's replicates takes by the values (a file) that it reads; 0 over people."""
        return self.mb(scratch) * self.config["models"][model]["replicates"] // (40_000 * self.config["blocks"])

    def manifest(self, selection):
        """Table of the study's windows stores of one selection."""
        return f"results/studies/{self.config['study']}/manifest_{selection}.tsv"

    def stored_mb(self, manifest):
        """Megabytes of the stores that a manifest lists, rounded up."""
        return -(-sum(int(row["size"]) for row in rows(manifest)) // 10**6)

    def trained(self, network, ending):
        """What `train` leaves for every seed and fold of a network: files that end in `ending`."""
        folder = f"results/studies/{self.config['study']}/networks/{network}"
        pairs = [(seed, fold) for seed in self.seeds(network) for fold in self.folds(network)]
        return [f"{folder}/seed-{seed}_fold-{fold}{ending}" for seed, fold in pairs]

    def checkpoint(self, network, seed, fold):
        """Where a training keeps its checkpoint (no output: Snakemake would delete it after a fault)."""
        return f"results/studies/{self.config['study']}/networks/{network}/checkpoints/seed-{seed}_fold-{fold}.pt"

    def board(self, network, seed, fold):
        """Where a training keeps its curves for TensorBoard (no output, but a log that can be watched)."""
        return f"results/logs/train/{self.config['study']}/tensorboard/{network}/seed-{seed}_fold-{fold}"

    def publishable(self, dataset):
        """Accounts and stores that a published derivative holds, each for all files that its job wrote beside it."""
        endings = ["clean_account.json", *(f"{name}_windows.zarr.zip" for name in self.config["selections"])]
        return [path for ending in endings for path in self.files(f"{DERIVATIVES}_desc-{ending}", dataset)]

    def root(self, dataset):
        """Folder of a dataset's raw files."""
        block = self.config["datasets"][dataset]
        return os.path.expanduser(block["path"]) if block["source"] == "path" else f"results/raw/{dataset}"

    def receipt(self, dataset):
        """What tells that a dataset's tree is there: of a simulation or a clone; none for one that stays in place."""
        ending = {"path": None, "simulate": "receipt"}.get(self.config["datasets"][dataset]["source"], "clone")
        return [f"results/raw/{dataset}_{ending}.json"] if ending else []

    def remote(self, dataset):
        """Whether the dataset is fetched."""
        return self.config["datasets"][dataset]["source"] not in ("path", "simulate")

    def fetched(self, dataset, rec):
        """Files of a recording's signal that have to be fetched; none where the dataset stays in place."""
        return self.row(dataset, rec, "files")["files"].split(";") if self.remote(dataset) else []

    def kept(self, dataset, rec):
        """Receipt of a signal that was fetched to stay; none where its cleaning fetches and frees it (`keep_raw`)."""
        path = f"results/fetch/{dataset}/{rec}.json"
        if not self.remote(dataset):
            return []
        if self.config["datasets"][dataset]["keep_raw"]:
            return [path]
        # what was kept when the config still said so is as good
        of = self.row(dataset, rec, "signal_sha256")["signal_sha256"]
        return [path] if os.path.isfile(path) and account.read(path)["of"] == of else []

    def lent_mb(self, dataset, rec):
        """Megabytes of raw signal that the cleaning of a recording fetches and frees; 0 where it is kept."""
        return self.size_mb(dataset, rec=rec) if self.remote(dataset) and not self.kept(dataset, rec) else 0

    def place(self):
        """Note where the datasets are, for the jobs of this run (`layout.root`)."""
        for dataset in self.config["datasets"]:
            path = Path(SOURCE.format(dataset=dataset))
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file() or account.read(path) != {"root": self.root(dataset)}:
                account.write(path, {"root": self.root(dataset)})

    def tree(self, dataset):
        """Fingerprint of a dataset that stays where it is; None for one that the workflow itself writes or fetches.

        In a job of a cluster a word stands for it: there, nobody compares it.
        """
        if self.config["datasets"][dataset]["source"] != "path":
            return None
        if self.in_job:
            return "fingerprint"
        known = Path(f"results/index/{dataset}/tree.json")
        if not os.path.isdir(self.root(dataset)) and known.is_file():
            return account.read(known)["tree"]
        if dataset not in self._trees:
            # with its table of digests, by which a signal that has yet to come is told from one that was dropped
            self._trees[dataset] = tree(self.root(dataset), f"results/index/{dataset}/sha256.tsv")
        return self._trees[dataset]

    def block(self, recipe, name):
        """Parameters by the name under which they are frozen: ``recipe`` or ``feature-<name>``."""
        if name == "recipe":
            return self.config["recipes"][recipe]
        return self.config["features"][name.removeprefix("feature-")]

    def size_mb(self, dataset=None, part=None, rec=None):
        """Megabytes of raw signal that a job works on: of the study, a dataset, a part of it, or one recording.

        What the rules ask memory and time by; ``make resources`` holds it against what was used. Rounded up; 0 as
        long as a dataset has no index.
        """
        total = 0
        for name in self.config["datasets"] if dataset is None else [dataset]:
            path = INDEX.format(dataset=name)
            if rec is not None:
                found = [by_rec(path)[rec]] if os.path.isfile(path) and rec in by_rec(path) else []
            else:
                found = [row for row in self.scope(name) if row["status"] == "ok"]
            if part is not None:
                found = [row for row in found if part_of(row["subject"], self.config["parts"]) == part]
            total += sum(int(float(row["size"] or 0)) for row in found)
        return -(-total // 10**6)

    def simulated_mb(self, dataset):
        """Megabytes that the simulation of a recording asks for: 100 bytes a sample, of which 70 were used."""
        block = self.config["datasets"][dataset]
        return int(block["seconds"] * block["sfreq"] * block["channels"]) // 10**4

    def summary(self):
        """One line: how many recordings are ok and quarantined, and by which reasons."""
        reasons, good, open_, outside = {}, 0, 0, 0
        for dataset in self.config["datasets"]:
            path = Path(INDEX.format(dataset=dataset))
            try:
                found = self.scope(dataset)
            except ConfigError as error:
                return str(error)
            outside += len(rows(path)) - len(found) if path.is_file() else 0
            for row in found:
                code = row["reason"] if row["status"] != "ok" else self._left(dataset, row["rec"])
                good += code == "ok"
                open_ += code == "open"
                if code not in ("ok", "open"):
                    reasons[code] = reasons.get(code, 0) + 1
        why = "".join(f", {count} {code}" for code, count in sorted(reasons.items()))
        failed = f"; {open_} failed or not done" if open_ else ""
        others = f"; {outside} not in this study ({self.choice()})" if outside else ""
        return f"recordings: {good} ok, {sum(reasons.values())} quarantined{why}{failed}{others}{self._invalid()}"

    def choice(self):
        """Words on what leaves recordings out of the study: the keys of the config that do."""
        used = ["only"] if any(block["only"] for block in self.config["datasets"].values()) else []
        used += [f"pilot: {self.config['pilot']}"] if self.config["pilot"] is not None else []
        return ", ".join(used)

    def _invalid(self):
        """Words on published derivatives in which the validator found errors, none if all is well."""
        folder = Path(f"results/studies/{self.config['study']}/published")
        found = {name: folder / f"{name}_validation.json" for name in self.config["datasets"]}
        errors = {name: account.read(path)["errors"] for name, path in found.items() if path.is_file()}
        return "".join(f"; the derivative of {name} has {count} errors" for name, count in errors.items() if count)

    def _left(self, dataset, rec):
        """Reason for which a recording left, in `clean` or all selections; ``ok``, or ``open`` without an account."""
        stem = DERIVATIVES.format(dataset=dataset, recipe=self.config["recipe"], rec=rec)
        found = [Path(f"{stem}_desc-clean_account.json")]
        found += [Path(f"{stem}_desc-{name}_windows.zarr.zip") for name in self.config["selections"]]
        clean, *windows = [account.of(path) if path.is_file() else {} for path in found]
        reasons = [each.get("reason") for each in windows]
        if not clean:
            return "open"
        return clean.get("reason") or (reasons[0] if reasons and all(reasons) else "ok")


def coverable(row):
    """Whether a recording can be counted by its events although its signal, or a file of it, is not there.

    The index gives no digest of a signal that is missing. It gives one where git-annex names the content that is not
    here: nothing else is missing then, or the recording would not run with its signal either.
    """
    if row["reason"] != "missing-file" or not row["events"]:
        return False
    if not row.get("signal") or not row["signal_sha256"]:
        return True
    return all(row[name] for name in ("eeg_json", "channels_sha256", "events_sha256"))


def by_rec(path):
    """Rows of ``recordings.tsv`` by recording, cached likewise; of several rows of one name the first."""
    stat = os.stat(path)
    return _by_rec(str(path), stat.st_mtime_ns, stat.st_size)


@cache
def _by_rec(path, mtime_ns, size):
    return {row["rec"]: row for row in reversed(rows(path))}
