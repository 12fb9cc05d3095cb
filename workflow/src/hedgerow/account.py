"""Accounts: what each step found, did, refused and measured (standard library only).

Every step returns data and an account, a small JSON-able dict. A recording leaves the workflow by its account, never
by a failed job: a fault of the data is raised as `Fault`, and the script writes an account with ``status:
quarantined``, the reason code and a sentence that names file, place and remedy.
"""

import hashlib
import json
import os
import zipfile
from pathlib import Path

#: Every reason code for which a recording can be quarantined, with what it means.
REASONS = {
    "not-eeg": "the recording is of another modality",
    "bad-name": "its files are not named as BIDS names them, or two signal files have one name",
    "missing-file": "a file that the recording needs is not there",
    "unreadable": "the signal file cannot be read",
    "truncated": "the signal file is shorter than its header says",
    "bad-sidecar": "a JSON sidecar is no JSON object",
    "no-channels": "no usable EEG channel is left",
    "bad-channels": "the signal has several channels of one name, or EEG channels of unlike rates",
    "not-continuous": "the recording is cut into epochs or interrupted",
    "bad-channels-table": "channels.tsv does not describe the signal",
    "missing-channel": "a channel of the study's montage or of the reference is not in the recording",
    "no-positions": "the place on the head is known of too few electrodes",
    "not-finite": "samples are NaN or infinite",
    "rate-too-low": "the sampling rate is too low for the filter or the study",
    "too-short": "the recording is shorter than the step needs",
    "memory-too-small": "the memory that the emulation of ASR's memory splits is given is too small",
    "calibration": "too little clean signal to calibrate the cleaning",
    "no-events": "there is no events.tsv, or it has no rows",
    "bad-events": "events.tsv is malformed",
    "bad-hed": "the HED annotation cannot be interpreted",
    "no-match": "no event matches any query of the selection",
    "outside": "every window that the queries give lies outside the recording",
    "bad-segments": "every window that the queries give lies in segments that the cleaning marked as bad",
    "rejected": "a person rejects it, in the table of overrides",
    "bad-override": "an override names a channel that the recording does not have",
}

#: Reasons that are a matter of judgement: a line of the table of overrides can waive them (``reinstate``).
WAIVABLE = ("truncated", "rejected")


class Fault(Exception):
    """A fault of the data: the recording is quarantined, the run goes on.

    Parameters
    ----------
    code : str
        A key of `REASONS`.
    message : str
        One sentence that names file, place and remedy.
    """

    def __init__(self, code, message):
        if code not in REASONS:
            raise KeyError(f"reason code {code!r} is not in account.REASONS")
        super().__init__(message)
        self.code = code
        self.message = message


class Stopped(SystemExit):
    """A fault of machine, network or config: the job ends with its sentence, and may be tried again."""


def digest(*paths):
    """sha256 of the content of files, of all together: 32 hexadecimal digits."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:32]


def ok(stage, **measures):
    """Account of a step that went well: ``{"status": "ok", "stage": stage, **measures}``."""
    return {"status": "ok", "stage": stage, **measures}


def quarantined(stage, fault):
    """Account of a recording that leaves the workflow at `stage` because of `fault` (a `Fault`)."""
    return {"status": "quarantined", "stage": stage, "reason": fault.code, "message": fault.message}


def leave(stage, fault, outputs, account=None):
    """A recording leaves at `stage`: empty files for all declared `outputs`, and at `account` why.

    Parameters
    ----------
    stage : str
    fault : Fault
    outputs : iterable of path
        Every file that the step would have written.
    account : path, optional
        Which of them is the account.
    """
    for path in outputs:
        Path(path).write_bytes(b"")
    if account is not None:
        write(account, quarantined(stage, fault))


def demand(account):
    """Raise the `Fault` of a quarantined `account`, so that what follows is quarantined for the same reason."""
    if account["status"] != "ok":
        raise Fault(account["reason"], account["message"])


def read(path):
    """Read one account (JSON) from `path`."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def of(path):
    """Account of a result: an account file (.json), or a store (.zarr.zip), whose attributes hold it."""
    if not str(path).endswith(".zip"):
        return read(path)
    return attributes(path).get("account")


def attributes(store):
    """Attributes of a store (.zarr.zip), read without opening an array."""
    with zipfile.ZipFile(store) as archive:
        return json.loads(archive.read("zarr.json"))["attributes"]


def write(path, account):
    """Write `account` as JSON to `path`, whole or not at all; NaN and infinity are refused (they are not JSON)."""
    text = json.dumps(account, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    scratch = Path(f"{path}.tmp")
    scratch.write_text(text + "\n", encoding="utf-8")
    os.replace(scratch, path)
