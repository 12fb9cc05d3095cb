"""One page for the whole study: a self-contained HTML file, made from accounts, tables and stores.

The page asks for nothing outside itself and holds no date: the same inputs give the same bytes.
"""

import hashlib
from pathlib import Path

import jinja2

from .. import __version__
from . import cleaning, comparisons, grids, networks, outcome, recordings, signals

TEMPLATE = Path(__file__).parents[1] / "templates" / "report.html.j2"


def page(files, *, config, about, opened=None):
    """The page as text.

    Parameters
    ----------
    files : dict of str to list of path
        ``config`` (one path), ``recordings``, ``accounts``, ``stores``, ``features``, ``grids``, ``grid_accounts``,
        ``influence``, ``metrics``, ``comparisons``, ``curves``, ``trainings``, ``gates``, ``split``, ``recoveries``,
        ``validations``; lists may be empty.
    config : dict
        The completed config.
    about : dict of str to dict
        By dataset the recordings that the study is about, and why a person rejected them (None: not).
    opened : path, optional
        Folder in which it is noted how often test people were looked at.

    Returns
    -------
    str
        HTML.
    """
    found = recordings.collect(files["recordings"], files["accounts"], files["stores"], about)
    kept = [path for path in files["stores"] if recordings.store.account(path)["status"] == "ok"]
    places, selections = signals.places(kept), config["selections"]
    trained = networks.networks(
        files["metrics"], files["curves"], files["trainings"], files["split"], files["gates"], opened
    )
    text = Path(files["config"]).read_text(encoding="utf-8")
    content = {
        "study": config["study"],
        "version": __version__,
        "digest": hashlib.sha256(text.encode()).hexdigest()[:12],
        "config": text,
        "datasets": config["datasets"],
        "pilot": config["pilot"],
        "recipe": config["recipes"][config["recipe"]] | {"name": config["recipe"]},
        "recordings": found,
        "left": recordings.left(found),
        "good": sum(entry["status"] == "ok" for entry in found),
        "people": len({(entry["dataset"], entry["subject"]) for entry in found if entry["status"] == "ok"}),
        "cleaning": cleaning.cleaning(found, places),
        "windows": recordings.windows(found, selections),
        "responses": signals.responses(kept, selections),
        "spectra": signals.spectra(files["features"], kept, config["features"], selections),
        "models": grids.grids(files["grids"], files["grid_accounts"], files["influence"], places),
        "networks": trained,
        "comparisons": comparisons.comparisons(files["comparisons"], trained),
        "recoveries": outcome.recoveries(files["recoveries"], trained),
        "published": outcome.published(files["validations"]),
        "versions": _versions(found),
    }
    return _environment().from_string(TEMPLATE.read_text(encoding="utf-8")).render(content)


def _environment():
    loader, undefined = jinja2.FileSystemLoader(TEMPLATE.parent), jinja2.StrictUndefined
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=undefined
    )
    environment.filters |= {"fixed": fixed, "figures": figures, "percent": percent, "grouped": grouped, "p": chance}
    return environment


def fixed(value, digits=2):
    """`value` with `digits` decimals and a true minus sign; n/a for None."""
    return "n/a" if value is None else f"{value:z.{digits}f}".replace("-", "−")


def figures(value, digits=3):
    """`value` with so many significant figures; n/a for None."""
    return "n/a" if value is None else f"{value:.{digits}g}".replace("-", "−")


def percent(share, digits=1):
    """A share (0 ... 1) in percent; n/a for None."""
    return "n/a" if share is None else f"{100 * share:.{digits}f}\u202f%"


def chance(p):
    """A p value with two significant figures, as a bound below 0.0001; n/a for None."""
    return "n/a" if p is None else "<\u202f0.0001" if p < 0.0001 else f"{p:.2g}"


def grouped(value):
    """A whole number with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def _versions(found):
    """Versions of the libraries by the accounts of the cleaning, several where recordings differ."""
    seen = {}
    for entry in found:
        for name, version in (entry["clean"] or {}).get("versions", {}).items():
            seen.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(seen.items())}
