"""``dataset_description.json`` of a derivative: what made it, from which dataset and version, under which licence."""

import re

from . import __version__

CODE_URL = "https://github.com/hedgerow-eeg/hedgerow"

#: Version of BIDS whose schema the validator has (bids-validator-deno 3.0.2).
BIDS_VERSION = "1.11.1"

#: What stays true of the derivative and is carried over as it is, or as a list where BIDS wants one.
TEXTS = ("License", "HowToAcknowledge", "Acknowledgements")
LISTS = ("Authors", "Keywords", "Funding", "EthicsApprovals", "ReferencesAndLinks")

#: Families of rules whose images make what stands in a derivative, and what each makes.
MADE_BY = {
    "signal": "clean signals, events and windows",
    "stats": "spectra",
    "publish": "descriptions, tables of the dataset, checks",
}


def describe(origin, *, dataset, block, clone=None, images=None):
    """Content of ``dataset_description.json``.

    Parameters
    ----------
    origin : dict
        That of the raw dataset.
    dataset : str
        Name of the dataset in the config.
    block : dict
        Its block there.
    clone : dict, optional
        Receipt of a dataset that was fetched: ``url``, ``version`` and ``commit``.
    images : dict of str to str, optional
        Container image by family of rules, where jobs ran in containers.

    Returns
    -------
    dict
    """
    own = _own(origin, dataset, block, clone)
    texts = {key: origin[key] for key in TEXTS if isinstance(origin.get(key), str) and origin[key].strip()}
    lists = {key: found for key in LISTS if (found := _texts(origin.get(key)))}
    return {
        "Name": f"{origin.get('Name') or dataset}: clean signals and windows",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        **texts,
        **({"HEDVersion": origin["HEDVersion"]} if _texts(origin.get("HEDVersion")) else {}),
        **lists,
        "GeneratedBy": _generated(images or {}),
        "SourceDatasets": [own] if own else _further(origin) or [{"URL": f"file:{dataset}"}],
        # what `bids:raw:` stands for in the Sources of the sidecars
        "DatasetLinks": {"raw": own["URL"] if own else f"file:{dataset}"},
    }


def _own(origin, dataset, block, clone):
    """Address, DOI and version of the raw dataset; None where it has none of them: it lies in a folder somewhere."""
    doi, url = _doi(origin.get("DatasetDOI")), (clone or {}).get("url", "")
    version = (clone or {}).get("version") or block.get("version")
    if block["source"] == "openneuro":
        name = block.get("accession") or dataset
        numbered = version if re.fullmatch(r"\d+\.\d+\.\d+", version or "") else None
        # DatasetDOI of a version often is that of an earlier one
        doi = f"doi:10.18112/openneuro.{name}.v{numbered}" if numbered else doi
        url = f"https://openneuro.org/datasets/{name}" + (f"/versions/{numbered}" if numbered else "")
        return _source(url, doi, version)
    if re.match(r"[a-z]+://", url):
        return _source(url, doi, version)
    if doi:
        told = re.search(r"\.v(\d+\.\d+\.\d+)$", doi)
        return _source(f"https://doi.org/{doi.removeprefix('doi:')}", doi, version or (told and told[1]))
    return None


def _further(origin):
    """What the raw dataset itself came from."""
    listed = origin.get("SourceDatasets")
    return [each for each in listed if isinstance(each, dict) and each] if isinstance(listed, list) else []


def _source(url, doi, version):
    found = {"URL": url, "DOI": doi, "Version": version}
    return {key: value for key, value in found.items() if value}


def _doi(text):
    """DOI as a URI, by any way of writing it; None where there is none."""
    found = re.search(r"10\.\d{4,9}/[^\s\"'<>]+", text) if isinstance(text, str) else None
    return f"doi:{found[0].rstrip('.,;')}" if found else None


def _texts(value):
    """Texts that are not empty, as a list; what is no text, and no list of them, is left out."""
    values = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [text for text in values if isinstance(text, str) and text.strip()]


def _generated(images):
    """``GeneratedBy``: an entry, or where jobs ran in containers one for the image of each family."""
    program = {"Name": "Hedgerow", "Version": __version__, "CodeURL": CODE_URL}
    found = [
        {**program, "Description": made, "Container": container(images[family])}
        for family, made in MADE_BY.items()
        if images.get(family)
    ]
    return found or [program]


def container(image):
    """``Container`` of an image: its type, where it is, and the digest or tag that names it.

    Parameters
    ----------
    image : str
        A reference with a scheme (``docker://``, ``oras://``), or the path of a .sif file, of which the name is told.

    Returns
    -------
    dict
    """
    uri = image if "://" in image else f"file:{image.rsplit('/', 1)[-1]}"
    digest = re.search(r"\b[0-9a-f]{64}\b", uri)
    tag = re.search(r"[^/:]:([^/:@]+)$", uri.split("://")[-1]) if "://" in uri else None
    name = f"sha256:{digest[0]}" if digest else tag and tag[1]
    return {"Type": "apptainer", "URI": uri, **({"Tag": name} if name else {})}
