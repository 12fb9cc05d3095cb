"""Pictures: geometry of the head, masks and limits of the maps, bytes that repeat."""

import base64
import itertools

import matplotlib
import numpy as np
import pytest

from hedgerow import _canvas, plot_cleaning, plot_grid, plot_networks

mne = pytest.importorskip("mne")

NAMES = ["Fp1", "Fp2", "F3", "Fz", "F4", "T7", "C3", "Cz", "C4", "T8", "P3", "Pz", "P4", "O1", "Oz", "O2"]


@pytest.fixture(scope="module")
def positions():
    template = mne.channels.make_standard_montage("colin27_1005").get_positions()["ch_pos"]
    return np.array([template[name] for name in NAMES])


def test_the_head_is_seen_from_above_with_the_nose_up(positions):
    flat = dict(zip(NAMES, _canvas.project(positions)))
    assert np.hypot(*flat["Cz"]) < 0.1
    for name, where in {"T7": (-1, 0), "T8": (1, 0), "Oz": (0, -1)}.items():
        np.testing.assert_allclose(flat[name], where, atol=0.15)
    assert flat["Fp1"][1] > 0.8 and flat["Fp1"][0] < 0 < flat["Fp2"][0]
    # 10-20: C3 lies half way from the vertex to T7
    assert np.hypot(*flat["C3"]) == pytest.approx(0.5, abs=0.1)


def test_a_topography_has_the_values_of_its_channels(positions, rng):
    from matplotlib.figure import Figure

    flat, values = _canvas.project(positions), rng.normal(size=len(NAMES))
    image = _canvas.topography(Figure().subplots(), values, positions, (-1, 1))
    left, right, bottom, top = image.get_extent()
    grid = image.get_array()
    columns = ((flat[:, 0] - left) / (right - left) * grid.shape[1]).astype(int)
    rows = ((flat[:, 1] - bottom) / (top - bottom) * grid.shape[0]).astype(int)
    np.testing.assert_allclose(grid[rows, columns], values, atol=0.25)


def test_a_channel_without_a_position_is_left_out(positions):
    from matplotlib.figure import Figure

    images = []
    for values, where in (
        (np.arange(16.0), positions),
        (np.append(np.arange(16.0), 1e6), np.vstack([positions, [np.nan] * 3])),
    ):
        images.append(np.ma.filled(_canvas.topography(Figure().subplots(), values, where, (0, 16)).get_array(), -1))
    np.testing.assert_allclose(images[0], images[1])


def _coefficient(positions, **changed):
    rng = np.random.default_rng(0)
    coef = rng.normal(size=(2, 16, 20))
    given = {"low": coef - 0.8, "high": coef + 0.8, "names": NAMES, "positions": positions, "units": ["a", "b"]}
    given |= {"peaks": [[(7, 3), (2, 1)], [(2, 9)]], "xlabel": "Time after the event (ms)", "unit": "µV"}
    return coef, plot_grid.coefficient(np.arange(-40.0, 160.0, 10.0), coef, **(given | changed))


def _titled(figure, text):
    return [axes for axes in figure.axes if text in axes.get_title(loc="left") + axes.get_title()]


def test_cells_whose_interval_holds_zero_are_pale(positions):
    coef, figure = _coefficient(positions)
    images = [axes.images[0] for axes in _titled(figure, "·")]
    assert len(images) == 2
    order = [NAMES.index(label.get_text()) for label in figure.axes[0].get_yticklabels()]
    assert [NAMES[k] for k in order[:2]] == ["Fp1", "Fp2"] and {NAMES[k] for k in order[-3:]} == {"O1", "Oz", "O2"}
    for unit, image in enumerate(images):
        np.testing.assert_allclose(image.get_array(), coef[unit][order])
        np.testing.assert_array_equal(image.get_alpha() == 1, np.abs(coef[unit][order]) > 0.8)
        low, high = image.get_clim()
        assert low == -high and high == pytest.approx(np.abs(coef).max())


def test_a_mean_level_has_no_mask(positions):
    coef, figure = _coefficient(positions, signed=False)
    assert figure.axes[0].images[0].get_alpha() is None
    assert figure.axes[0].images[0].get_clim() == (coef.min(), coef.max())


def test_a_bold_outline_follows_the_edges_of_its_cells(positions):
    firm = np.zeros((2, 16, 20), dtype=bool)
    firm[0, NAMES.index("Cz"), 5:7] = True
    _, figure = _coefficient(positions, firm=firm)
    panel, other = _titled(figure, "·")
    row = [label.get_text() for label in panel.get_yticklabels()].index("Cz")
    thin, bold = panel.collections
    assert bold.get_linewidth()[0] > 2 * thin.get_linewidth()[0] and len(other.collections) == 1
    corners = bold.get_paths()[0].vertices
    np.testing.assert_allclose(corners.min(axis=0), [5.0, row - 0.5], atol=1e-9)  # 10 ms, around 10 and 20 ms
    np.testing.assert_allclose(corners.max(axis=0), [25.0, row + 0.5], atol=1e-9)


def test_the_peak_is_marked_on_its_line(positions):
    coef, figure = _coefficient(positions)
    middle = next(axes for axes in figure.axes if axes.get_legend())
    assert [text.get_text() for text in middle.get_legend().get_texts()] == ["Cz", "F3"]
    dots = [line for line in middle.lines if line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(-10.0, coef[0, 7, 3])]


def test_every_peak_has_a_head_in_the_order_of_time_and_the_first_is_bold(positions):
    _, figure = _coefficient(positions)
    heads = [axes for axes in figure.axes if " ms" in axes.get_title()]
    assert [axes.get_title() for axes in heads] == ["F3, -30 ms", "Cz, -10 ms", "F3, 50 ms"]
    assert [axes.title.get_fontweight() for axes in heads] == ["normal", "bold", "bold"]
    nowhere = _coefficient(np.full((16, 3), np.nan))[1]
    assert not any(" ms" in axes.get_title() for axes in nowhere.axes)


def test_the_names_of_many_channels_do_not_overlap():
    names, where = [f"E{k}" for k in range(128)], np.full((128, 3), np.nan)
    coef = np.random.default_rng(0).normal(size=(1, 128, 5))
    figure = plot_grid.coefficient(
        np.arange(5.0), coef, coef - 1, coef + 1, names=names, positions=where, units=[""], peaks=[[(0, 0)]],
        xlabel="Frequency (Hz)", unit="dB",
    )  # fmt: skip
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert len(boxes) > 8 and all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(boxes))


def test_a_test_shows_what_stands_and_the_least_f_that_does(positions):
    rng = np.random.default_rng(0)
    statistic = rng.chisquare(2, size=(1, 16, 20))
    firm = statistic > 5
    given = {"names": NAMES, "positions": positions, "units": [""], "peaks": [[(7, 3)]], "xlabel": "Frequency (Hz)"}
    figure = plot_grid.test(np.arange(1.0, 21.0), statistic, firm, threshold=[5.5], **given)
    image = figure.axes[0].images[0]
    assert image.get_alpha() is None and image.get_clim() == (0, statistic.max())
    (outline,) = figure.axes[0].collections
    assert outline.get_edgecolor()[0].tolist() == [1, 1, 1, 1]
    (dashed,) = [line for line in figure.axes[1].lines if line.get_linestyle() == "--"]
    assert set(dashed.get_ydata()) == {5.5} and set(figure.axes[-1].lines[-1].get_ydata()) == {5.5}
    none = plot_grid.test(np.arange(1.0, 21.0), statistic, firm & False, threshold=[np.nan], **given)
    assert not none.axes[0].collections and not [line for line in none.axes[1].lines if line.get_linestyle() == "--"]


def test_coefficients_stand_together_with_their_own_intervals():
    coef = np.random.default_rng(0).normal(size=(2, 1, 3, 20))
    figure = plot_grid.courses(
        np.arange(-40.0, 160.0, 10.0), coef, coef - 1, coef + 2, rows=["a", "b"], columns=[["Cz"], ["Pz"]],
        labels=["x", "y", "z"], xlabel="Time after the event (ms)", unit="µV",
    )  # fmt: skip
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a · Cz", "b · Pz"]
    for axes, values in zip(figure.axes, coef[:, 0]):
        for k, name in enumerate("xyz"):
            (line,) = [line for line in axes.lines if line.get_label() == name]
            np.testing.assert_array_equal(line.get_ydata(), values[k])
            box = axes.collections[k].get_datalim(axes.transData)
            np.testing.assert_allclose([box.y0, box.y1], [values[k].min() - 1, values[k].max() + 2])


def test_models_are_coloured_by_how_far_their_aic_is_from_the_least(positions):
    deltas = np.zeros((2, 5, 16, 20))
    for model, delta in enumerate((0, 1.9, 2.1, 8, 1000)):
        deltas[:, model] = delta
    figure = plot_grid.comparison(
        np.arange(-40.0, 160.0, 10.0), deltas, labels=list("vwxyz"), names=NAMES, positions=positions,
        units=["a", "b"], xlabel="Time after the event (ms)",
    )  # fmt: skip
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == [
        f"{unit} · {model}" for unit in "ab" for model in "vwxyz"
    ]
    colours = [panel.images[0].to_rgba(panel.images[0].get_array())[0, 0] for panel in panels[:5]]
    wanted = [matplotlib.colors.to_rgba(plot_grid.SUPPORT[k]) for k in (0, 0, 1, 3, 4)]
    np.testing.assert_allclose(colours, wanted, atol=1 / 255)
    assert [label.get_text() for label in figure.axes[-1].get_yticklabels()] == ["0", "2", "4", "7", "10"]


def test_long_formulas_do_not_run_into_the_next_panel(positions):
    labels = ["~ " + " + ".join(["intensity"] * 9)] * 4
    figure = plot_grid.comparison(
        np.arange(20.0), np.zeros((1, 4, 16, 20)), labels=labels, names=NAMES, positions=positions, units=["sub-01"],
        xlabel="Frequency (Hz)",
    )  # fmt: skip
    figure.draw_without_rendering()
    boxes = [axes._left_title.get_window_extent() for axes in figure.axes[:4]]
    assert all(one.x1 < next_.x0 for one, next_ in itertools.pairwise(boxes))
    assert figure.axes[0].get_title(loc="left").endswith("…")


def test_influence_marks_the_windows_of_the_table_and_names_people():
    distance, marked = np.array([0.1, 0.2, 0.9, 0.1, np.nan]), np.array([False, False, True, False, False])
    axes = plot_grid.influence(distance, ["b", "b", "b", "a", "a"], marked, np.full(5, 0.5)).axes[0]
    plain, orange, usual = axes.lines
    assert orange.get_xdata().tolist() == [2] and orange.get_ydata().tolist() == [0.9]
    assert plain.get_xdata().tolist() == [0, 1, 3, 4] and set(usual.get_ydata()) == {0.5}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["b", "a"]
    assert axes.get_xticks().tolist() == [1, 3.5]


def test_the_same_arrays_give_the_same_picture_whatever_the_users_style(positions):
    one = _canvas.picture(_coefficient(positions)[1])
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 300}):
        other = _canvas.picture(_coefficient(positions)[1])
    assert one == other
    png = base64.b64decode(one["uri"].split(",", 1)[1])
    assert png.startswith(b"\x89PNG") and b"tEXt" not in png and b"tIME" not in png


def test_no_figure_stays_open(positions):
    from matplotlib import pyplot

    _canvas.picture(_coefficient(positions)[1])
    assert pyplot.get_fignums() == []


def test_a_confusion_matrix_says_counts_and_shares():
    figure = plot_networks.confusion(np.array([[[3, 1], [0, 4]]]), ["Windows (8)"], ["F", "M"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["3\n75 %", "1\n25 %", "0\n0 %", "4\n100 %"]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), [[0.75, 0.25], [0, 1]])


def test_learning_curves_bear_missing_values():
    epochs, train = np.arange(1, 6), np.linspace(1, 0.2, 10).reshape(2, 5)
    none = np.full((2, 5), np.nan)
    assert len(plot_networks.curves(epochs, train, none, none, chance=0.5).axes) == 1
    short = np.where(epochs > 3, np.nan, train)
    thick = max(
        plot_networks.curves(epochs, train, short, short, chance=0.5).axes[1].lines,
        key=lambda line: line.get_linewidth(),
    )
    np.testing.assert_allclose(thick.get_ydata(), short[:, :3].mean(axis=0))
    diverged = plot_networks.curves(epochs, train, train, train - 90, chance=0.0, name="R²", nothing="training mean")
    assert diverged.axes[1].get_title(loc="left") == "R² of validation" and diverged.axes[1].get_ylim()[0] == -1.05
    assert [text.get_text() for text in diverged.axes[1].texts] == ["training mean"]


def test_scores_show_interval_chance_and_further_seeds():
    row = {"label": "subjects", "value": 0.9, "low": 0.8, "high": 1.0, "chance": 0.5, "further": [0.7, 0.85]}
    axes = plot_networks.scores([row | {"control": None}]).axes[0]
    drawn = [sorted(set(map(float, line.get_xdata()))) for line in axes.lines]
    assert drawn == [[0.5], [0.8, 1.0], [0.9], [0.7, 0.85]]


def test_a_score_below_the_picture_is_an_arrow_at_its_edge_and_one_without_interval_has_no_band():
    row = {"label": "R²", "value": -7.5, "low": -20.0, "high": 0.3, "chance": 0.0, "further": [-3.0], "control": None}
    other = row | {"value": 0.2, "low": None, "high": None, "further": []}
    axes = plot_networks.scores([other, row]).axes[0]
    assert axes.get_xlim()[0] == pytest.approx(-1.02)
    drawn = [(line.get_marker(), list(map(float, line.get_xdata()))) for line in axes.lines]
    assert drawn[1:4] == [("None", [-1.0, 0.3]), ("<", [-1.0]), ("o", [-1.0])]
    assert drawn[5:] == [("o", [0.2]), ("o", [])]
    # where nothing lies below zero the picture begins there
    assert plot_networks.scores([other]).axes[0].get_xlim()[0] == pytest.approx(-0.02)


def test_a_reliability_diagram_shows_shares_intervals_and_the_size_of_bins():
    confidence, right = np.array([0.55, 0.71, 0.94]), np.array([0.5, 0.8, 0.7])
    windows = np.array([10, 30, 20])
    figure = plot_networks.reliability(confidence, right, right - 0.1, np.array([0.6, np.nan, 0.8]), windows, least=0.5)
    axes, below = figure.axes
    identity, line = axes.lines
    np.testing.assert_array_equal(identity.get_xydata(), [[0.5, 0.5], [1, 1]])
    np.testing.assert_array_equal(line.get_xydata(), np.column_stack([confidence, right]))
    bands, bars = (panel.collections[0].get_segments() for panel in (axes, below))
    assert bands[0][:, 1].tolist() == [0.4, 0.6]
    assert [bar[:, 0].tolist() for bar in bars] == [[k, k] for k in confidence]
    assert [bar[:, 1].tolist() for bar in bars] == [[0, k] for k in windows]
    # from tenth to tenth, and a network that is never sure is not a stroke
    assert axes.get_xlim() == pytest.approx((0.49, 1.01))
    narrow = plot_networks.reliability(0.52 + confidence / 100, right, right, right, windows, least=1 / 3)
    assert narrow.axes[0].get_xlim() == pytest.approx((0.498, 0.602))


def test_predicted_numbers_stand_over_true_ones_with_identity_and_mean():
    true, said = np.array([10.0, 20.0, 30.0]), np.array([14.0, 17.0, 22.0])
    panel = {"name": "age", "true": true, "said": said, "mean": 21.0}
    figure = plot_networks.predicted([panel, panel, panel, panel | {"true": np.full(3, 10.0)}])
    axes = figure.axes[0]
    identity, mean, points = axes.lines
    np.testing.assert_array_equal(points.get_xydata(), np.column_stack([true, said]))
    np.testing.assert_allclose(identity.get_xydata(), [[9, 9], [31, 31]])
    assert list(mean.get_ydata()) == [21.0, 21.0] and axes.get_xlim() == axes.get_ylim()
    assert [axes.axison for axes in figure.axes] == [True] * 4 + [False] * 2


def test_bad_channels_are_stacked_by_reason(positions):
    flagged = {"flat": {"Cz": 2, "Pz": 1}, "uncorrelated": {"Cz": 1}}
    figure = plot_cleaning.cleaning(
        np.array([0.1, 0.2]), np.array([0.3, 0.4]), flagged, np.linspace(0, 0.5, 16), positions
    )
    bars = figure.axes[1]
    assert [label.get_text() for label in bars.get_xticklabels()] == ["Cz", "Pz"]
    tops = [patch.get_y() + patch.get_height() for patch in bars.patches]
    assert tops == [2, 1, 3, 1]
    nothing = plot_cleaning.cleaning(np.array([np.nan]), np.array([np.nan]), {}, np.array([]), np.empty((0, 3)))
    assert [text.get_text() for text in nothing.axes[1].texts] == ["none"]


def _recording(positions, rng, bad=()):
    """One figure before and after: a step of 1 mV at Cz goes, all else stays."""
    after = rng.normal(scale=10, size=(16, 1000))
    before = after.copy()
    before[7, 400:500] += 1000
    traces = {"names": NAMES, "positions": positions, "before": before, "after": after, "sfreq": 100.0, "start": 30.0}
    frequency = np.arange(0, 50.5, 0.5)
    spectra = {"frequency": frequency, "before": np.full((16, 101), 3.0) + np.arange(16)[:, None]}
    spectra |= {"after": spectra["before"] - 2, "bands": {"alpha": [8.0, 13.0], "high": [45.0, 50.0]}}
    removed = np.where(np.arange(16) == 7, 0.9, 0.0)
    return traces, plot_cleaning.before_and_after(traces, spectra, removed, positions, bad=bad)


def test_traces_stand_at_their_channel_to_scale_and_what_went_behind_them(positions, rng):
    traces, figure = _recording(positions, rng, bad=[(33.0, 34.5)])
    panel = figure.axes[0]
    rows = [label.get_text() for label in panel.get_yticklabels()]
    assert rows[:2] == ["Fp1", "Fp2"] and sorted(rows) == sorted(NAMES)
    grey = [line for line in panel.lines if line.get_color() == plot_cleaning.BEFORE]
    blue = [line for line in panel.lines if line.get_color() == _canvas.COLOURS[0]]
    assert len(grey) == len(blue) == 16 and max(map(panel.lines.index, grey)) < min(map(panel.lines.index, blue))
    bar = next(line for line in panel.lines if line.get_linewidth() == 2)
    microvolts = float(panel.texts[0].get_text().removesuffix(" µV"))
    scale = microvolts / np.ptp(bar.get_ydata())  # µV per unit of the axis
    row = rows.index("Cz")
    np.testing.assert_allclose((blue[row].get_ydata() + row) * scale, traces["after"][7], atol=1e-9)
    drawn = (grey[row].get_ydata() + row) * scale
    assert np.isnan(drawn[400:500]).all()  # 1 mV would cover all others
    np.testing.assert_allclose(drawn[:400], traces["before"][7, :400], atol=1e-9)
    assert (blue[row].get_xdata()[0], blue[row].get_xdata()[-1]) == (30.0, pytest.approx(39.99))
    shaded = panel.patches[0].get_x(), panel.patches[0].get_width()
    assert shaded == (33.0, 1.5) and len(panel.patches) == 1


def test_spectra_show_the_median_and_the_range_of_channels(positions, rng):
    _, figure = _recording(positions, rng)
    panel = next(axes for axes in figure.axes if axes.get_xscale() == "log")
    lines = {line.get_label(): line.get_ydata() for line in panel.lines if not line.get_label().startswith("_")}
    assert (lines["before"] == 10.5).all() and (lines["after"] == 8.5).all()
    assert panel.collections[0].get_datalim(panel.transData).intervaly.tolist() == [3, 18]
    assert [text.get_text() for text in panel.texts] == ["α"]
    head = next(axes for axes in figure.axes if axes.get_title() == "Variance removed (%)")
    assert head.images[0].get_clim() == (0, 90)


def test_a_recording_without_places_or_channels_apart_is_drawn(rng):
    nowhere = np.full((16, 3), np.nan)
    _, figure = _recording(nowhere, rng)
    assert not any(axes.images for axes in figure.axes)
    zeros = {"names": ["a"], "positions": nowhere[:1], "before": np.zeros((1, 9)), "after": np.zeros((1, 9))}
    spectra = {"frequency": np.arange(3.0), "before": np.zeros((1, 3)), "after": np.zeros((1, 3)), "bands": {}}
    figure = plot_cleaning.before_and_after(zeros | {"sfreq": 1.0, "start": 0.0}, spectra, np.zeros(1), nowhere[:1])
    assert _canvas.picture(figure)["uri"]


@pytest.mark.parametrize(("value", "step"), [(1, 1), (1.9, 1), (2, 2), (49, 20), (50, 50), (999, 500), (0.03, 0.02)])
def test_scale_bars_are_round(value, step):
    assert plot_cleaning._round(value) == pytest.approx(step)


def test_bands_show_quartiles_over_recordings():
    removed = np.column_stack([np.arange(101) / 100, np.full(101, np.nan)])
    axes = plot_cleaning.bands(removed, ["alpha", "high"]).axes[0]
    (box,) = axes.patches
    assert (box.get_y(), box.get_height()) == (25, 50)
    whisker, middle, dots = axes.lines
    assert whisker.get_ydata().tolist() == [5, 95] and middle.get_ydata().tolist() == [50, 50]
    assert len(dots.get_ydata()) == 101
    assert len(plot_cleaning.bands(np.zeros((1000, 1)), ["alpha"]).axes[0].lines) == 2  # too many for dots


def test_a_picture_of_few_colours_is_smaller_white_and_repeats(positions, rng):
    import io

    from PIL import Image

    figures = [_recording(positions, np.random.default_rng(0))[1] for _ in range(3)]
    small, again, whole = (_canvas.picture(each, palette=n) for each, n in zip(figures, (256, 256, None)))
    assert small == again and small["width"] == whole["width"]
    assert len(small["uri"]) < 0.5 * len(whole["uri"])
    image = Image.open(io.BytesIO(base64.b64decode(small["uri"].split(",")[1]))).convert("RGB")
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_few_colours_keep_the_rare_and_the_faint(positions):
    import io

    from PIL import Image

    def pixels(palette):
        coef = np.full((1, 16, 20), 0.12)
        coef[0, 7, 3], coef[0, 2, 4] = 1.0, -0.7
        figure = plot_grid.coefficient(
            np.arange(20.0), coef, coef - 0.5, coef + 0.5, names=NAMES, positions=positions, units=[""],
            peaks=[[(7, 3)]], xlabel="Frequency (Hz)", unit="µV",
        )  # fmt: skip
        uri = _canvas.picture(figure, palette=palette)["uri"]
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGB")).astype(int)

    assert np.abs(pixels(256) - pixels(None)).max() < 24
