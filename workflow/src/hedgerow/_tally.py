"""What the accounts of a dataset's recordings say, summed up as they come: a few numbers of each are kept."""

import re
from array import array
from statistics import median

#: Reasons for which an account of the cleaning names a channel as bad.
BAD = ("marked", "flat", "noisy", "uncorrelated")

#: Share of a recording, repaired or beyond repair, above which it is named.
DOUBTFUL = 0.5

#: What is told of every recording: rows of the table, and how a value is written.
MEASURES = {
    "seconds": ("length", "{:.1f} s"),
    "sfreq": ("sampling rate", "{:g} Hz"),
    "channels": ("EEG channels", "{:g}"),
    "bad": ("bad channels found", "{:g}"),
    "interpolated": ("of these replaced by their neighbours", "{:g}"),
    "rank": ("independent channels left (rank)", "{:g}"),
    "repaired": ("samples repaired", "%"),
    "removed": ("variance removed with the artefacts", "%"),
    "beyond": ("time beyond repair, marked and kept", "%"),
}


class Tally:
    """What accounts of recordings say, summed up.

    Parameters
    ----------
    selections : dict
        Blocks of the config by name.
    """

    def __init__(self, selections):
        self.published, self.left, self.versions, self.tasks = [], [], {}, {}
        self.windows = {
            name: {"classes": {label: [0, set()] for label in block["classes"]}, "without": {}, "shapes": set()}
            for name, block in selections.items()
        }
        self.doubtful = []
        self._values = {name: array("d") for name in MEASURES}
        self._counts = dict.fromkeys(("uneven", "unplaced", "skipped"), 0)

    def leave(self, rec, reason, message):
        """Note a recording that is not published."""
        self.left.append({"rec": rec, "reason": reason, "message": " ".join(message.split())})

    def add(self, rec, account, sidecar, stores):
        """Note a published recording.

        Parameters
        ----------
        rec : str
        account, sidecar : dict
            Of its clean signal.
        stores : dict of str to dict
            By selection the attributes of its windows store.
        """
        self.published.append(rec)
        task = re.search(r"_task-([^_]+)", rec)
        if task and not self.tasks.get(task[1]):
            told = sidecar.get("TaskDescription")
            self.tasks[task[1]] = " ".join(told.split()) if isinstance(told, str) and told != "n/a" else None
        bad = {name for reason in BAD for name in account.get(reason) or ()}
        asr = account.get("asr") or {}
        repaired = asr.get("changed") if asr.get("action", "repair") == "repair" else None
        if (repaired or 0) + (account.get("bad_share") or 0) > DOUBTFUL:
            self.doubtful.append(rec.rsplit("/", 1)[-1])
        seen = {"bad": len(bad), "interpolated": len(account.get("interpolated") or ()), "repaired": repaired}
        seen |= {"removed": account.get("variance_removed"), "beyond": account.get("bad_share")}
        for name, values in self._values.items():
            value = seen[name] if name in seen else account.get(name)
            if value is not None:
                values.append(value)
        self._counts["uneven"] += bool(bad - set(account.get("interpolated") or ()))
        self._counts["unplaced"] += account.get("judged_by") in ("correlation", "mixed")
        for name, version in (account.get("versions") or {}).items():
            self.versions.setdefault(name, set()).add(version)
        for name, attrs in stores.items():
            self._select(self.windows[name], rec.split("/")[0], attrs)

    def _select(self, found, person, attrs):
        done = attrs["account"]
        if done["status"] != "ok":
            found["without"][done["reason"]] = found["without"].get(done["reason"], 0) + 1
            return
        for label, count in done["windows"].items():
            found["classes"][label][0] += count
            if count:
                found["classes"][label][1].add(person)
        found["shapes"].add((len(attrs["names"]), attrs["sfreq"], done.get("samples")))
        skipped = done.get("skipped") or 0
        self._counts["skipped"] += skipped if isinstance(skipped, int) else len(skipped)

    def facts(self):
        """What the template needs, dict: counts, and a row per measure with median and range."""
        rows = []
        for name, (meaning, form) in MEASURES.items():
            values = self._values[name]
            if values and (any(values) or name not in ("removed", "beyond")):
                rows.append((meaning, *_spread(values, form)))
        seconds = sum(self._values["seconds"])
        windows = sum(count for found in self.windows.values() for count, _ in found["classes"].values())
        ranks, channels = self._values["rank"], self._values["channels"]
        return {
            "recordings": len(self.published),
            "people": len({rec.split("/")[0] for rec in self.published}),
            "amount": f"{seconds / 3600:,.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes",
            "windows": windows,
            "tasks": sorted((name, told) for name, told in self.tasks.items() if told),
            "doubtful": self.doubtful,
            "measures": rows,
            "below_rank": any(rank < count for rank, count in zip(ranks, channels)),
            "beyond": any(self._values["beyond"]),
            "repaired": any(self._values["repaired"]),
            "versions": {name: ", ".join(sorted(each)) for name, each in sorted(self.versions.items())},
            **self._counts,
        }


def _spread(values, form):
    """Median and range as text."""
    write = percent if form == "%" else form.format
    low, high = write(min(values)), write(max(values))
    return write(median(values)), "in all" if low == high else f"{low} to {high}"


def percent(share):
    """A share in percent, with a decimal below ten."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 9.95 or value == 0 else f"{value:.1f} %"
