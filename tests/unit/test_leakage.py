"""The gate: what crosses a split stops the run with a sentence, what does not passes; and what the gate prevents."""

import numpy as np
import pandas as pd
import pytest

from hedgerow import split
from hedgerow.nets import evaluate, leakage


def windows_of(people=6, windows=4, folds=3, dataset="ds"):
    """A row per window of `people`, dealt to `folds`."""
    person = np.repeat(np.arange(people), windows)
    labels = [f"{i:02d}" for i in person]
    return pd.DataFrame(
        {
            "dataset": dataset,
            "subject": labels,
            "person": [f"{dataset}/{label}" for label in labels],
            "rec": [f"sub-{label}/eeg/sub-{label}_task-rest" for label in labels],
            "window": np.tile(np.arange(windows), people),
            "fold": person % folds + 1,
        }
    )


def signals(rng, rows, channels=3, samples=20):
    return rng.normal(size=(len(rows), channels, samples)).astype(np.float32)


def test_clean_splits_pass_and_are_accounted_for(rng):
    rows = windows_of()
    X = signals(rng, rows)
    X[5] = 7.0
    X[2] = X[1]
    account = leakage.gate(rows, leakage.digests(X))
    wanted = {"people": 6, "folds": 3, "windows": 24, "recordings": 6, "datasets": 1}
    wanted |= {"contents": 22, "constant": 1, "repeated": 1, "twins": 0, "notes": []}
    assert {name: account[name] for name in wanted} == wanted
    assert leakage.gate(rows)["contents"] is None
    assert leakage.gate(rows.assign(fold=rows["person"]))["folds"] == 6  # leave one person out


def test_the_account_knows_the_split_whatever_the_order_of_rows():
    rows = windows_of()
    dealt = leakage.gate(rows)["dealt"]
    assert leakage.gate(rows.sample(frac=1, random_state=0))["dealt"] == dealt
    assert leakage.gate(rows.assign(fold=rows["fold"] % 3 + 1))["dealt"] != dealt


def test_a_person_in_two_folds_stops_the_run():
    rows = windows_of()
    rows.loc[[1, 17], "fold"] = 3
    with pytest.raises(split.Leak, match=r"2 of 6 people .* ds/00 \(folds 1, 3\).*deal people"):
        leakage.gate(rows)


def test_one_human_being_in_two_datasets_stops_a_split_by_dataset():
    rows = pd.concat([windows_of(), windows_of(dataset="again")], ignore_index=True)
    rows["fold"] = rows["dataset"]
    assert leakage.gate(rows)["folds"] == 2
    rows.loc[rows["subject"] == "03", "person"] = "Ada"
    with pytest.raises(split.Leak, match=r"1 of 11 people .* Ada \(folds again, ds\).*`only`"):
        leakage.gate(rows)


@pytest.mark.parametrize("column", ["person", "fold"])
def test_a_window_of_nobody_or_nowhere_stops_the_run(column):
    rows = windows_of().astype({"fold": object})
    rows.loc[[7, 9], column] = None
    with pytest.raises(split.Leak, match=r"2 windows have no person or no fold, among them window 3 of ds sub-01/"):
        leakage.gate(rows)


def test_a_window_that_stands_twice_stops_the_run():
    rows = windows_of()
    with pytest.raises(split.Leak, match=r"1 windows .* more than once, among them window 1 of ds sub-01/"):
        leakage.gate(pd.concat([rows, rows.iloc[[5]]]))
    other = windows_of(dataset="other")  # the names of its recordings are the same
    assert leakage.gate(pd.concat([rows, other]))["recordings"] == 12


def test_a_recording_under_two_names_stops_the_run(rng):
    rows = windows_of()
    X = signals(rng, rows)
    X[20:] = X[8:12]
    expected = (
        r"4 windows equal.* \(2 people\), among them window 0 of ds sub-05/.*person ds/05.* window 0 of ds sub-02/"
    )
    with pytest.raises(split.Leak, match=expected) as stopped:
        leakage.gate(rows, leakage.digests(X))
    assert all(remedy in str(stopped.value) for remedy in ("`person`", "`only`", "`reject`"))
    # both remedies: one person for both, in one fold, or one of the two left out
    same = rows.assign(person=rows["person"].replace("ds/05", "ds/02"))
    assert leakage.gate(same, leakage.digests(X))["repeated"] == 4
    assert leakage.gate(rows[:20], leakage.digests(X[:20]))["repeated"] == 0


def test_one_window_of_somebody_else_is_found_behind_repetitions_of_ones_own(rng):
    rows = windows_of()
    X = signals(rng, rows)
    X[1] = X[2] = X[18] = X[0]
    with pytest.raises(split.Leak, match=r"1 windows equal.*window 2 of ds sub-04/"):
        leakage.gate(rows, leakage.digests(X))


def test_flat_windows_of_two_people_say_nothing(rng):
    rows = windows_of()
    X = signals(rng, rows)
    X[[0, 9]], X[[3, 20]] = 0.0, np.nan
    X[[7, 22]] = rng.normal(size=(3, 1))  # another constant in each channel
    digest = leakage.digests(X)
    assert (digest == "").nonzero()[0].tolist() == [0, 3, 7, 9, 20, 22]
    assert leakage.gate(rows, digest)["constant"] == 6
    X[9, 0, 5] = 1e-3
    assert leakage.digests(X)[9] != ""


def test_digests_tell_contents_apart_and_nothing_else(rng):
    X = rng.integers(-2000, 2000, size=(600, 4, 30)).astype(np.int16)
    digest = leakage.digests(X)
    assert len(set(digest)) == 600 and {len(text) for text in digest} == {32}
    order = rng.permutation(600)
    assert (leakage.digests(X[order], batch=7) == digest[order]).all()
    assert (leakage.digests(X.astype(np.float64)) == digest).all()
    zeros = np.where(X == 0, np.float32(-0.0), X)
    assert np.signbit(zeros[X == 0]).all() and (leakage.digests(zeros) == digest).all()
    # the same samples in another place, channel or order are another window
    for changed in (np.roll(X, 1, axis=2), X[:, ::-1], X + np.eye(4, 30, dtype=np.int16)):
        assert not set(leakage.digests(changed)) & set(digest)
    assert leakage.digests(X[:0]).shape == (0,)


def test_digests_read_what_has_slices_and_change_nothing(rng):
    torch = pytest.importorskip("torch")
    X = signals(rng, windows_of())

    class Pairs:
        """As a dataset with targets: its slices are pairs of tensors."""

        def __len__(self):
            return len(X)

        def __getitem__(self, chosen):
            return torch.from_numpy(X[chosen]), torch.zeros(len(X[chosen]))

    frozen = X.copy()
    frozen.flags.writeable = False
    assert (leakage.digests(Pairs(), batch=5) == leakage.digests(frozen)).all()


def test_participants_who_look_like_twins_are_only_noted():
    rows = pd.concat([windows_of(), windows_of(dataset="again")], ignore_index=True)
    rows["age"] = rows["subject"].map(int) + 20.5
    assert leakage.gate(rows)["twins"] == 12
    rows.loc[(rows["dataset"] == "again") & (rows["subject"] != "03"), "age"] += 1
    account = leakage.gate(rows)
    assert account["twins"] == 2
    assert "2 participants have label and age" in account["notes"][0] and "ds sub-03" in account["notes"][0]
    known = rows.assign(person=rows["person"].replace("again/03", "ds/03"), fold=1)
    assert leakage.gate(known)["twins"] == 0
    assert leakage.gate(rows.assign(age=None))["twins"] == 0
    assert leakage.gate(rows[rows["dataset"] == "ds"])["twins"] == 0


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="rec"):
        leakage.gate(windows_of().drop(columns="rec"))
    with pytest.raises(ValueError, match="0 windows"):
        leakage.gate(windows_of()[:0])
    with pytest.raises(ValueError, match="2 digests of 24 windows"):
        leakage.gate(windows_of(), ["a", "b"])


def stated(X, rows, offset=0.0):
    """Mean and standard deviation per channel from sums in float64, and as a network carries them."""
    values = X[rows].astype(np.float64) + offset
    mean = sum(window.sum(1) for window in values) / values[:, 0].size
    found = mean, np.sqrt(sum((window**2).sum(1) for window in values) / values[:, 0].size - mean**2)
    return found, [part.astype(np.float32) for part in found]


@pytest.mark.parametrize("offset", [0.0, 3e4, 1e6])
def test_normalisation_by_the_training_windows_passes(rng, offset):
    X = signals(rng, windows_of(40, 5)) * np.array([[1.0], [30.0], [900.0]])
    found, carried = stated(X, slice(150), offset)
    assert leakage.normalisation(carried, found, whose="a") < 1e-7 * (1 + offset)
    for _ in range(5):  # sums in another order
        again, _ = stated(X, rng.permutation(150), offset)
        assert leakage.normalisation(carried, again, whose="a") < 1e-7 * (1 + offset)


@pytest.mark.parametrize("offset", [0.0, 3e4])
@pytest.mark.parametrize("seen", [slice(200), np.arange(151), np.arange(1, 150)])
def test_normalisation_by_other_windows_stops_the_run(rng, seen, offset):
    """By everybody's, by one window too many, by one too few."""
    X = signals(rng, windows_of(40, 5))
    with pytest.raises(split.Leak, match=r"fold-2 is normalised by windows .* at \d is .*[123] of 3 differ"):
        leakage.normalisation(stated(X, seen, offset)[1], stated(X, slice(150), offset)[0], whose="fold-2")


def test_normalisation_of_cells_is_judged_too_and_shapes_must_agree(rng):
    mean, std = rng.normal(size=(4, 5)), rng.random((4, 5)) + 1
    assert leakage.normalisation((mean, std), (mean, std), whose="a") == 0
    with pytest.raises(split.Leak, match=r"mean at \(2, 1\)"):
        leakage.normalisation((mean + np.eye(4, 5, -1) * (np.arange(4) == 2)[:, None], std), (mean, std), whose="a")
    for wrong in ((mean[0], std[0]), (mean, std * np.nan)):
        with pytest.raises(ValueError, match="shape"):
            leakage.normalisation(wrong, (mean, std), whose="a")


def strangers(rng, *, people=30, windows=30, channels=2, samples=64):
    """Windows of people with a spectrum each of their own, and classes that are random per person."""
    person = np.repeat(np.arange(people), windows)
    frequency, gain = rng.uniform(2, 28, size=(people, 2)), rng.uniform(0.5, 2, size=(people, 2, channels))
    phase, time = rng.uniform(0, 2 * np.pi, size=(len(person), 2)), np.arange(samples) / 64
    waves = np.sin(2 * np.pi * frequency[person][:, :, None] * time + phase[:, :, None])
    X = np.einsum("wfc,wft->wct", gain[person], waves) + rng.normal(size=(len(person), channels, samples))
    y = rng.permutation(np.arange(people) % 2)[person]
    return windows_of(people, windows).assign(y=y), X.astype(np.float32), y


def vote(rows, y, fold, tested, learn):
    """Balanced accuracy of the subjects' vote and its interval, by networks that `learn(train, test)` trains."""
    p = np.full(len(y), np.nan)
    for k in tested:
        p[fold == k] = learn(fold != k, fold == k)
    judged = np.isfinite(p)
    table = evaluate.predictions(rows[judged], y[judged], np.stack([1 - p, p], 1)[judged])
    scores, _, _ = evaluate.metrics(table, replicates=1000)
    return scores.set_index(["level", "metric"]).loc[("subject", "balanced_accuracy"), ["value", "low", "high"]]


def check_that_the_gate_is_needed(rng, learner):
    """Labels random per person: a split over windows is stopped, and would have made believe that they are learnt."""
    rows, X, y = strangers(rng)
    learn, digest = learner(X, y), leakage.digests(X)
    people = rows.drop_duplicates("person").drop(columns="fold")
    places = split.assign(people, method="blocks", folds=3, stratify=["y"]).set_index("person")["fold"]
    over_people, over_windows = rows["person"].map(places).to_numpy(), rng.permutation(len(rows)) % 5 + 1

    assert leakage.gate(rows.assign(fold=over_people), digest)["people"] == 30
    value, low, high = vote(rows, y, over_people, (1, 2, 3), learn)
    assert low <= 0.5 <= high, (value, low, high)

    with pytest.raises(split.Leak, match="30 of 30 people"):
        leakage.gate(rows.assign(fold=over_windows), digest)
    value, low, high = vote(rows, y, over_windows, (1,), learn)  # one fold has windows of everybody
    assert value > 0.8 and low > 0.5, (value, low, high)


def test_random_labels_per_person_are_stopped_before_neighbours_learn_the_people(rng):
    neighbours = pytest.importorskip("sklearn.neighbors")

    def learner(X, y):
        power = np.log(np.abs(np.fft.rfft(X))[:, :, 1:30] ** 2).mean(1)
        fit = neighbours.KNeighborsClassifier(5).fit
        return lambda train, test: fit(power[train], y[train]).predict_proba(power[test])[:, 1]

    check_that_the_gate_is_needed(rng, learner)


def test_random_labels_per_person_are_stopped_before_a_network_learns_the_people(rng):
    training = pytest.importorskip("hedgerow.nets.train")

    def learner(X, y):
        def learn(train, test):
            weights, _, _ = training.fit(X[train], y[train], model="eegnet", epochs=8, batch=64, lr=0.02)
            return training.predict(weights, X[test], model="eegnet")[:, 1]

        return learn

    check_that_the_gate_is_needed(rng, learner)
