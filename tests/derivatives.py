"""Small derivatives, as `hedgerow.publish` leaves them: files, their digests, and the account of their making."""

import json
import shutil

import yaml

from hedgerow import _description, sums, upload

ALLOWED = {"licence": {"redistribution": "allowed", "sentence": "CC0-1.0: everybody may."}, "errors": 0}
#: A block of the section ``uploads`` with its defaults.
BLOCK = {"path": None, "bucket": None, "prefix": "{dataset}", "endpoint": None, "region": None, "part_mib": 64}
BLOCK |= {"overwrite": False, "licence_confirmed": False}


def content(**changes):
    """Content of the files of a derivative by path; `changes` by path, None: without it."""
    found = {"README.md": b"---\nlicense: cc0-1.0\n---\n", "participants.tsv": b"participant_id\nsub-01\nsub-02\n"}
    found[".bidsignore"] = b"*_account.json\n"
    for number in (1, 2):
        stem = f"sub-0{number}/eeg/sub-0{number}_task-x_desc-clean"
        found[f"{stem}_eeg.eeg"] = bytes([number, 0, 255]) * 20_000
        # as BrainVision has it, with the ends of lines of Windows
        found[f"{stem}_eeg.vhdr"] = b"Brain Vision\r\nDataFile=x\r\n"
        found[f"{stem}_events.tsv"] = b"onset\n1\n"
        found[f"{stem}_windows.zarr.zip"] = bytes([number]) * 30_000
    found |= changes
    return {name: text for name, text in found.items() if text is not None}


def write(tree, files=None, *, study="lab", dataset="eyes"):
    """Write a derivative anew to the folder `tree`; gives it back."""
    shutil.rmtree(tree, ignore_errors=True)
    about = _description.describe({"License": "CC0"}, dataset=dataset, block={"source": "path"})
    own = {"dataset_description.json": json.dumps(about).encode()}
    own["code/config.yaml"] = yaml.safe_dump({"study": study, "datasets": {}}, sort_keys=False).encode()
    for name, text in {**own, **(content() if files is None else files)}.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(text)
    names = sums.files(tree)
    sums.write(tree / "code/sha256sums", sums.of(tree, names))
    return tree


def send(tree, kind, *, done=ALLOWED, study="lab", dataset="eyes", **block):
    """Send a derivative to a destination ``there`` of that kind; the receipt."""
    block = {**BLOCK, "kind": kind, **{key: str(v) if key == "path" else v for key, v in block.items()}}
    return upload.send(tree, done, block, name="there", study=study, dataset=dataset)


def everything(folder, without=()):
    """Content of all files below a folder, by path; not below the folders `without`."""
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if name.split("/")[0] not in without}
