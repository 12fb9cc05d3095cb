"""Which bootstrap, interval and errors a model gets: asked for, or by the number of people (standard library only).

It is asked whenever the config is read, for what cannot go together whatever the data are.
"""

#: Fewest people over whom inference can be; below, it is per person over trials.
MIN_CLUSTERS = 5
#: People below whom intervals from resampling them are too short.
FEW_CLUSTERS = 40
#: Over what each bootstrap resamples, and the interval that it is given where none is named.
BOOTSTRAPS = {
    "clusters": ("people", "studentised"),
    "wild-clusters": ("people", "studentised"),
    "pairs": ("trials", "studentised"),
    "wild": ("trials", "studentised"),
}
#: Intervals that a bootstrap by weights does not make.
MEANINGLESS = {"wild-clusters": ("percentile", "bca"), "wild": ("bca",)}
#: Standard errors over people and over trials; those of `auto` first.
ERRORS = {"people": ("cr2", "cr1"), "trials": ("hc3", "hc0", "hc1", "hc2", "classical")}


def choose(bootstrap, interval, errors, people):
    """Resolve ``auto`` and refuse what means nothing.

    Parameters
    ----------
    bootstrap, interval, errors : str
        As the model has them.
    people : int
        Who have a window in the model.

    Returns
    -------
    dict of str to str
        ``bootstrap``, ``interval`` (``t`` without a bootstrap), ``errors``, and ``over``: ``people`` or ``trials``.

    Raises
    ------
    ValueError
        A sentence that names the keys and what to write instead.
    """
    if bootstrap == "auto":
        bootstrap = "pairs" if people < MIN_CLUSTERS else "wild-clusters"
        if bootstrap == "wild-clusters" and interval in ("percentile", "bca"):
            bootstrap = "clusters"
    if bootstrap == "none":
        over, usual = "people" if people >= MIN_CLUSTERS else "trials", "t"
        if interval != "auto":
            raise ValueError(
                f"interval: {interval!r} is made of replicates, but bootstrap is 'none'; drop the interval"
            )
    else:
        over, usual = BOOTSTRAPS[bootstrap]
    if over == "people" and people < MIN_CLUSTERS:
        raise ValueError(
            f"bootstrap: {bootstrap!r} resamples people, and of {people} there are too few (below {MIN_CLUSTERS}); say "
            "'pairs' or 'wild' for intervals over the trials of each person"
        )
    if interval in MEANINGLESS.get(bootstrap, ()):
        other = {"wild": "pairs", "wild-clusters": "clusters"}[bootstrap]
        raise ValueError(
            f"interval: {interval!r} is not made by bootstrap {bootstrap!r}, which resamples nothing; say "
            f"'studentised', or bootstrap {other!r}"
        )
    if errors != "auto" and errors not in ERRORS[over]:
        raise ValueError(
            f"errors: {errors!r} cannot be had where inference is over {over} (bootstrap {bootstrap!r}); say "
            f"'auto' or one of {', '.join(ERRORS[over])}"
        )
    return {
        "bootstrap": bootstrap,
        "interval": usual if interval == "auto" else interval,
        "errors": ERRORS[over][0] if errors == "auto" else errors,
        "over": over,
    }
