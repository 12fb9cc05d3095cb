"""Inputs of networks: spectra against sums by hand, maps against splines by hand, and which way is up."""

import copy
import json

import numpy as np
import pytest
import scipy.signal

torch = pytest.importorskip("torch")

from hedgerow import _canvas, io, splines  # noqa: E402
from hedgerow.nets import _heads, inputs  # noqa: E402

CAP = ("Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2").split()
EGI = [f"E{number}" for number in range(1, 130)]
#: The 24 electrodes of Truong et al. 2021 (E129 is the vertex).
TRUONG = [
    f"E{n}"
    for n in (22, 9, 33, 24, 11, 124, 122, 29, 6, 111, 45, 36, 104, 108, 42, 55, 93, 58, 52, 62, 92, 96, 70, 129)
]
SFREQ = 128.0


@pytest.fixture(scope="module")
def montages():
    egi = io.positions(EGI)
    return {"cap": io.positions(CAP), "egi": egi, "truong": egi[[EGI.index(name) for name in TRUONG]]}


def maps(positions, n_times=256, sfreq=SFREQ, **settings):
    return inputs.make(
        "topographies", n_chans=len(positions), n_times=n_times, sfreq=sfreq, positions=list(positions), **settings
    )


def on_sphere(places, sphere=_heads.SPHERE):
    """Positions in m of places on the flat head: the projection the other way round."""
    way, direction = np.hypot(*places.T) * np.pi / 2, np.arctan2(places[:, 1], places[:, 0])
    unit = np.column_stack([np.sin(way) * np.cos(direction), np.sin(way) * np.sin(direction), np.cos(way)])
    return sphere[:3] + sphere[3] * unit


# raw windows and features


def test_raw_windows_pass_and_a_channel_is_a_group(rng):
    x = torch.tensor(rng.normal(size=(3, 4, 50)))
    raw = inputs.make("raw", n_chans=4, n_times=50, sfreq=SFREQ)
    assert raw.shape == (4, 50) and raw(x).dtype == torch.float32
    assert torch.equal(raw(x), x.float())
    assert raw.groups.dtype == np.int64 and (raw.groups == np.arange(4)[:, None]).all()
    assert raw.groups.shape == raw.shape


def test_features_pass_and_a_cell_is_a_group(rng):
    x = torch.tensor(rng.normal(size=(3, 4, 9)).astype(np.float32))
    features = inputs.make("features", n_chans=4, n_times=9)
    assert torch.equal(features(x), x)
    assert sorted(features.groups.ravel()) == list(range(36)) and features.groups.shape == features.shape == (4, 9)


# complex spectrum


@pytest.mark.parametrize("taper", ["hann", "boxcar", ["tukey", 0.3]])
@pytest.mark.parametrize("samples", [64, 75])
def test_fft_is_the_sum_by_hand(rng, samples, taper):
    x = 20 * rng.normal(size=(5, 3, samples)) + 300
    kept = np.arange(1, samples // 2 + 1)
    window = scipy.signal.get_window(taper if isinstance(taper, str) else tuple(taper), samples)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(samples), kept) / samples)
    expected = 2 / window.sum() * ((x - x.mean(axis=-1, keepdims=True)) * window) @ waves
    expected[..., 2 * kept == samples] /= 2
    fft = inputs.make("fft", n_chans=3, n_times=samples, sfreq=100.0, taper=taper)
    found = fft(torch.tensor(x)).numpy()
    np.testing.assert_allclose(fft.freqs, kept * 100 / samples, rtol=1e-12)
    assert found.dtype == np.float32 and found.shape == (5, *fft.shape)
    np.testing.assert_allclose(found, np.concatenate([expected.real, expected.imag], axis=-1), atol=2e-4)


@pytest.mark.parametrize("hz", [1.0, 10.0, 63.5])
def test_a_sine_has_its_amplitude_and_phase(hz):
    times = np.arange(256) / SFREQ
    x = 7 * np.cos(2 * np.pi * hz * times + 0.6) + 40
    fft = inputs.make("fft", n_chans=1, n_times=256, sfreq=SFREQ)
    real, imaginary = np.split(fft(torch.tensor(x)[None, None]).numpy()[0, 0].astype(float), 2)
    at = np.flatnonzero(fft.freqs == hz)[0]
    assert real[at] + 1j * imaginary[at] == pytest.approx(7 * np.exp(0.6j), abs=1e-4)
    if hz == 10:
        assert np.abs(np.delete(real + 1j * imaginary, [at - 1, at, at + 1])).max() < 1e-4


def test_an_alternation_has_its_amplitude_at_the_nyquist_frequency():
    fft = inputs.make("fft", n_chans=1, n_times=64, sfreq=SFREQ)
    found = fft(torch.tensor(3 * (-1.0) ** np.arange(64))[None, None])[0, 0]
    assert found[31] == pytest.approx(3, abs=1e-5) and found[63] == 0
    assert fft.groups[0, 31] >= 0 and fft.groups[0, 63] == -1


def test_two_seconds_of_24_channels_make_the_image_of_the_raw_windows():
    assert inputs.make("fft", n_chans=24, n_times=256, sfreq=SFREQ).shape == (24, 256)


def test_fft_band_includes_both_ends():
    fft = inputs.make("fft", n_chans=2, n_times=256, sfreq=SFREQ, fmin=4, fmax=25)
    assert (fft.freqs[0], fft.freqs[-1], len(fft.freqs)) == (4, 25, 43)
    assert fft.shape == fft.groups.shape == (2, 86)
    whole = inputs.make("fft", n_chans=2, n_times=256, sfreq=SFREQ)
    x = torch.randn(3, 2, 256, generator=torch.Generator().manual_seed(1))
    assert torch.equal(fft(x), whole(x)[:, :, np.r_[7:50, 135:178]])


def test_parts_of_an_amplitude_share_a_group_so_that_phases_stay(rng):
    """Windows that begin anywhere in a rhythm: mean 0 of both parts, and phases the same after standardising."""
    phases = rng.uniform(-np.pi, np.pi, size=(4000, 1, 1))
    x = 5 * np.cos(2 * np.pi * 10 * np.arange(64) / 64 + phases)
    fft = inputs.make("fft", n_chans=1, n_times=64, sfreq=64.0)
    assert (fft.groups[:, :31] == fft.groups[:, 32:63]).all() and len(np.unique(fft.groups[:, :32])) == 32
    pair = fft(torch.tensor(x)).numpy()[:, 0, fft.groups[0] == fft.groups[0, 9]].astype(float)
    mean, spread = pair.mean(), pair.std()
    assert pair.shape == (4000, 2) and abs(mean) < 0.15 and spread == pytest.approx(5 / np.sqrt(2), rel=0.01)
    standardised = (pair - mean) / spread
    turned = np.angle(np.exp(1j * (np.arctan2(*standardised.T[::-1]) - phases[:, 0, 0])))
    assert np.abs(turned).max() < 0.05


# band power


@pytest.mark.parametrize("samples", [256, 255])
def test_band_power_at_an_electrode_is_that_of_a_periodogram(rng, samples):
    """Electrodes on centres of pixels: there a map shows the electrode's own value."""
    pixels = _heads.grid(8)
    at = np.array([10, 13, 20, 27, 33, 45, 50, 53])
    module = maps(on_sphere(pixels[at]), n_times=samples, size=8)
    x = rng.normal(size=(5, len(at), samples)) * rng.uniform(1, 30, size=(1, len(at), 1)) + 100
    freqs, density = scipy.signal.periodogram(x, SFREQ, window="hann", detrend="constant")
    found = module(torch.tensor(x)).numpy().reshape(5, 8, 3, 8).transpose(0, 2, 1, 3).reshape(5, 3, 64)[:, :, at]
    for band, (low, high) in enumerate(((4, 7), (7, 13), (14, 25))):
        expected = np.log10(density[..., (freqs >= low) & (freqs <= high)].mean(axis=-1))
        np.testing.assert_allclose(found[:, band], expected, atol=2e-5)


@pytest.mark.parametrize("samples", [128, 256, 1000])
def test_bands_are_hz_whatever_the_length_of_the_windows(samples, montages):
    """A sine of 10 Hz is alpha at every resolution; bands read as indices would make it beta at 256 samples."""
    x = np.sin(2 * np.pi * 10 * np.arange(samples) / SFREQ) + 1e-3 * np.random.default_rng(1).normal(size=(19, samples))
    theta, alpha, beta = np.split(maps(montages["cap"], n_times=samples)(torch.tensor(x)[None]).numpy()[0], 3, axis=1)
    assert alpha[12, 12] > theta[12, 12] + 1 and alpha[12, 12] > beta[12, 12] + 1


def test_maps_lie_in_the_order_of_their_frequencies(montages, rng):
    """Names come back from a file in another order than they were given in."""
    x = torch.from_numpy(rng.normal(size=(2, 24, 256)))
    bands = {"theta": (4, 7), "beta": (14, 25), "alpha": (7, 13)}
    one, other = (maps(montages["truong"], bands=each) for each in (bands, dict(sorted(bands.items()))))
    assert torch.equal(one(x), other(x)) and one.maps == 3
    for number, name in enumerate(("theta", "alpha", "beta")):
        alone = maps(montages["truong"], bands={name: bands[name]})(x)
        assert torch.allclose(one(x)[..., 24 * number : 24 * (number + 1)], alone, atol=1e-5)


def test_bands_at_the_edge_of_the_spectrum(montages):
    found = maps(montages["cap"], bands={"all": [0, 64], "one": [10, 10]})
    assert found.ranges == [(0, 128), (19, 20)]


def test_a_flat_channel_stays_finite(montages):
    module = maps(montages["cap"])
    x = 20 * torch.randn(2, 19, 256, generator=torch.Generator().manual_seed(1))
    x[:, 9] = 4.0
    x.requires_grad_()
    found = module(x)
    found.sum().backward()
    assert torch.isfinite(found).all() and torch.isfinite(x.grad).all()
    assert module(torch.zeros(1, 19, 256))[0, 12, 12] == pytest.approx(np.log10(inputs.FLOOR), abs=1e-4)


# maps


def by_hand(places, pixels, plane=True):
    """Biharmonic spline: r^2 ln r at every electrode, and a plane that its bending is free of."""

    def green(a, b):
        apart = np.linalg.norm(a[:, None] - b[None], axis=2)
        return apart**2 * np.log(np.where(apart > 0, apart, 1))

    if not plane:
        return np.linalg.solve(green(places, places), green(pixels, places).T).T
    ones, more = np.ones((len(places), 1)), np.ones((len(pixels), 1))
    flat = np.hstack([ones, places])
    system = np.block([[green(places, places), flat], [flat.T, np.zeros((3, 3))]])
    right = np.hstack([green(pixels, places), more, pixels])
    return np.linalg.solve(system, right.T).T[:, : len(places)]


@pytest.mark.parametrize("name", ["cap", "truong", "egi"])
def test_weights_are_those_of_a_spline_by_hand(montages, name):
    places, pixels = _heads.project(montages[name]), _heads.grid(24)
    found = _heads.thin_plate(places, pixels)
    np.testing.assert_allclose(found, by_hand(places, pixels), atol=1e-10)
    np.testing.assert_allclose(_heads.thin_plate(places, places), np.eye(len(places)), atol=1e-9)


def test_a_constant_and_a_slope_are_kept(montages):
    """So the unit of power moves a map and leaves its relief; a biharmonic spline without a plane would change both."""
    places, pixels = _heads.project(montages["truong"]), _heads.grid(24)
    weights = _heads.thin_plate(places, pixels)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-10)
    np.testing.assert_allclose(weights @ (3 + places @ [2, -5]), 3 + pixels @ [2, -5], atol=1e-9)
    inside = np.hypot(*pixels.T) <= 1
    assert np.abs(by_hand(places, pixels, plane=False).sum(axis=1) - 1)[inside].max() > 0.02


def test_gain_moves_a_map_and_changes_nothing_else(montages, rng):
    module, x = maps(montages["truong"]), torch.tensor(20 * rng.normal(size=(2, 24, 256)))
    moved = (module(1e3 * x) - module(x)).numpy()
    np.testing.assert_allclose(moved, np.where(module.groups >= 0, 6, 0)[None].repeat(2, 0), atol=1e-4)


@pytest.mark.parametrize(("name", "error"), [("cap", 0.06), ("truong", 0.07), ("egi", 0.003)])
def test_smooth_fields_are_recovered_between_electrodes(montages, name, error):
    """Potentials of low order over the sphere, as far as they are known at the electrodes; range about 2."""
    pixels = _heads.grid(24)
    pixels = pixels[np.hypot(*pixels.T) <= 1]
    weights = _heads.thin_plate(_heads.project(montages[name]), pixels)
    unit = (montages[name] - _heads.SPHERE[:3]) / _heads.SPHERE[3]
    (x, y, z), (u, v, w) = (unit / np.linalg.norm(unit, axis=1, keepdims=True)).T, (on_sphere(pixels, (0, 0, 0, 1))).T
    for values, truth in ((x, u), (y, v), (z, w), (x * y, u * v), (x * z, u * w), (x**2 - y**2, u**2 - v**2)):
        assert np.sqrt(np.mean((weights @ values - truth) ** 2)) < error


@pytest.mark.parametrize("name", ["truong", "egi"])
def test_maps_agree_with_spherical_splines(montages, name):
    """MNE's interpolation over the sphere, on the map of a dipole's potential below the left hand area."""
    source = np.add(_heads.SPHERE[:3], [-0.03, 0.0, 0.045])
    values = 1 / np.linalg.norm(montages[name] - source, axis=1)
    values = (values - values.mean()) / values.std()
    pixels = _heads.grid(24)
    pixels = pixels[np.hypot(*pixels.T) <= 0.95]
    ours = _heads.thin_plate(_heads.project(montages[name]), pixels) @ values
    theirs = splines.weights(montages[name], on_sphere(pixels)) @ values
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    assert np.hypot(*(pixels[ours.argmax()] - pixels[theirs.argmax()])) < 0.1


def test_places_are_those_of_the_reports_pictures(montages):
    np.testing.assert_allclose(_heads.project(montages["egi"]), _canvas.project(montages["egi"]), atol=1e-12)
    assert _heads.SPHERE == _canvas.SPHERE


def test_distance_from_the_vertex_is_the_way_along_the_sphere():
    """Equidistant: the vertex in the middle, 45 degrees at one half, the equator at 1; right is right, front is up."""
    angles = np.deg2rad([0, 45, 90, 120])
    right = np.column_stack([np.sin(angles), 0 * angles, np.cos(angles)])
    front = right[:, [1, 0, 2]]
    sphere = (0.01, 0.02, 0.04, 0.09)
    centre, radius = np.array(sphere[:3]), sphere[3]
    expected = np.column_stack([angles / (np.pi / 2), 0 * angles])
    np.testing.assert_allclose(_heads.project(centre + radius * right, sphere), expected, atol=1e-12)
    np.testing.assert_allclose(_heads.project(centre + radius * front, sphere), expected[:, ::-1], atol=1e-12)


def test_a_sphere_is_fitted(rng):
    unit = rng.normal(size=(30, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    points = [0.003, -0.01, 0.04] + 0.093 * unit
    assert _heads.fit_sphere(points) == pytest.approx((0.003, -0.01, 0.04, 0.093), abs=1e-10)
    np.testing.assert_allclose(
        _heads.project(points, "fit"), _heads.project(points, (0.003, -0.01, 0.04, 0.093)), atol=1e-8
    )


def planted(positions, centre, hz, rng, n_times=256):
    """One window of noise with a rhythm around `centre` (m)."""
    bump = np.exp(-((positions - centre) ** 2).sum(axis=1) / (2 * 0.035**2))
    rhythm = np.cos(2 * np.pi * hz * np.arange(n_times) / SFREQ)
    return torch.tensor(rng.normal(size=(1, len(positions), n_times)) + 20 * bump[:, None] * rhythm)


@pytest.mark.parametrize(
    ("site", "hz", "band", "rows", "columns"),
    [
        ("O1", 10, 1, slice(12, 24), slice(0, 12)),
        ("F4", 20, 2, slice(0, 12), slice(12, 24)),
        ("T7", 5, 0, slice(8, 16), slice(0, 6)),
        ("Fp2", 10, 1, slice(0, 4), slice(12, 20)),
    ],
)
@pytest.mark.parametrize("name", ["cap", "truong", "egi"])
def test_a_planted_rhythm_shows_at_its_place_in_its_band(montages, rng, name, site, hz, band, rows, columns):
    """First row at the nose, first column at the left ear, bands side by side."""
    x = planted(montages[name], montages["cap"][CAP.index(site)], hz, rng)
    image = maps(montages[name])(x)[0].numpy()
    assert image.shape == (24, 72)
    at = np.zeros(image.shape, bool)
    at[rows, slice(24 * band + columns.start, 24 * band + columns.stop)] = True
    assert at[np.unravel_index(image.argmax(), image.shape)]


def test_pixels_outside_the_head_are_nothing(montages, rng):
    module = maps(montages["truong"])
    image = module(torch.tensor(20 * rng.normal(size=(3, 24, 256)) + 7)).numpy()
    left = module.groups == -1
    assert (image[:, left] == 0).all() and (image[:, ~left] != 0).all()
    circle = np.hypot(*_heads.grid(24).T).reshape(24, 24) <= 1
    for band in range(3):
        part = module.groups[:, 24 * band : 24 * band + 24]
        assert ((part == band) == circle).all()
    assert circle.sum() == 448 and module.groups.shape == module.shape == (24, 72)


def test_a_net_below_the_equator_shapes_the_map_within_it(montages):
    """EGI's net reaches 1.6 of the way to the equator: 52 of its 129 electrodes are outside the circle."""
    places = _heads.project(montages["egi"])
    outer = np.hypot(*places.T) > 1
    assert outer.sum() == 52
    weights = maps(montages["egi"]).weights.numpy()
    inside = np.abs(weights).sum(axis=1) > 0
    assert inside.sum() == 448  # nothing of the circle is beyond the electrodes
    assert np.linalg.norm(weights, axis=1).max() < 1.1
    share = np.abs(weights[:, outer]).sum(axis=1) / np.abs(weights).sum(axis=1).clip(1e-9)
    radius = np.hypot(*_heads.grid(24).T)
    assert share[inside & (radius > 0.95)].mean() > 0.3 > 0.05 > share[radius < 0.5].mean()
    wider = maps(montages["egi"], extent=1.6)
    assert (np.abs(wider.weights.numpy())[:, outer].sum(axis=0) > 1).all()  # there each of them is seen itself


def test_a_part_of_the_head_makes_a_part_of_a_map():
    """Where eight electrodes at the back say nothing, the map is empty rather than an extrapolation."""
    names = "P3 Pz P4 PO3 PO4 O1 Oz O2".split()
    module = maps(io.positions(names))
    seen = module.groups[:, :24] >= 0
    assert not seen[:10].any() and seen[17:21, 9:15].all()
    assert np.linalg.norm(module.weights.numpy(), axis=1).max() <= inputs.GAIN + 1e-6


def test_relative_maps_run_from_0_to_1(montages, rng):
    module = maps(montages["truong"], relative=True)
    x = torch.tensor(20 * rng.normal(size=(4, 24, 256)) * rng.uniform(1, 5, size=(1, 24, 1)))
    found, plain = module(x), maps(montages["truong"])(x)
    inside = torch.tensor(module.groups == 1)
    assert torch.equal(found[:, inside].amin(dim=1), torch.zeros(4)) and (found[:, module.groups == -1] == 0).all()
    np.testing.assert_allclose(found[:, inside].amax(dim=1), np.ones(4), atol=1e-6)
    part = plain[:, inside].numpy()
    low, high = part.min(axis=1, keepdims=True), part.max(axis=1, keepdims=True)
    np.testing.assert_allclose(found[:, inside], (part - low) / (high - low), atol=1e-5)
    np.testing.assert_allclose(module(50 * x), found, atol=1e-4)
    assert module(torch.zeros(1, 24, 256)).abs().max() < 0.1


def test_size_and_extent(montages):
    module = maps(montages["truong"], size=16, extent=1.11, bands={"alpha": (8, 12)})
    assert module.shape == (16, 16) and set(np.unique(module.groups)) == {-1, 0}


# what holds for all of them

ALL = [("raw", {}), ("fft", {}), ("topographies", {}), ("topographies", {"relative": True}), ("features", {})]


def made(kind, positions, **settings):
    keywords = {"n_chans": 19, "n_times": 256, "sfreq": SFREQ, "positions": positions.tolist()}
    return inputs.make(kind, **keywords, **settings)


@pytest.mark.parametrize(("kind", "own"), ALL)
def test_modules_are_deterministic_and_hold_nothing(montages, rng, kind, own):
    module = made(kind, montages["cap"], **own)
    x = torch.tensor(20 * rng.normal(size=(9, 19, 256)).astype(np.float32), requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        first, again = module(x), made(kind, montages["cap"], **own)(x)
        first.square().sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert torch.equal(first, again) and first.dtype == torch.float32 and first.shape == (9, *module.shape)
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    one = torch.cat([module(window[None]) for window in x])
    np.testing.assert_allclose(one.detach(), first.detach(), atol=1e-5, rtol=1e-5)
    assert not module.state_dict() and not list(module.parameters())
    assert not [name for name, value in vars(module).items() if isinstance(value, torch.Tensor)]
    assert torch.equal(copy.deepcopy(module).train()(x), first)
    assert module.groups.dtype == np.int64 and module.groups.shape == module.shape


@pytest.mark.parametrize(("kind", "own"), ALL[1:4])
def test_gradients_are_slopes(montages, rng, kind, own):
    module = made(kind, montages["cap"], **own)
    x = torch.tensor(20 * rng.normal(size=(2, 19, 256)), requires_grad=True)
    weights, along = torch.tensor(rng.normal(size=(2, *module.shape))), torch.tensor(rng.normal(size=x.shape))
    (module(x) * weights).sum().backward()
    rise = ((module(x + 0.02 * along).double() - module(x - 0.02 * along).double()) * weights).sum() / 0.04
    assert float((x.grad * along).sum()) == pytest.approx(float(rise.detach()), rel=0.02, abs=0.02)


@pytest.mark.parametrize(("kind", "own"), ALL)
def test_mixed_precision_leaves_inputs_as_they_are(montages, rng, kind, own):
    module, x = made(kind, montages["cap"], **own), torch.tensor(rng.normal(size=(2, 19, 256)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = module(x)
    assert torch.equal(mixed, module(x))


@pytest.mark.parametrize("kind", list(inputs.KINDS))
def test_settings_are_keywords_that_json_can_hold(montages, rng, kind):
    settings = json.loads(json.dumps(inputs.settings(kind)))
    x = torch.tensor(rng.normal(size=(2, 19, 256)))
    assert torch.equal(made(kind, montages["cap"], **settings)(x), made(kind, montages["cap"])(x))


def test_settings_can_be_changed_without_harm():
    inputs.settings("topographies")["bands"].clear()
    assert list(inputs.settings("topographies")["bands"]) == ["theta", "alpha", "beta"]


@pytest.mark.parametrize(
    ("kind", "keywords", "sentence"),
    [
        ("images", {}, "input 'images' is not known: choose one of raw, fft, topographies, features"),
        ("raw", {"taper": "hann"}, "input raw has no setting 'taper': it has none"),
        ("topographies", {"sice": 24}, "input topographies has no setting 'sice': it has bands, size, taper"),
        ("fft", {"sfreq": None}, "sfreq is None"),
        ("fft", {"taper": "hun"}, "taper: 'hun' is no window of scipy"),
        ("fft", {"fmin": 30, "fmax": 20}, "no frequency lies from 30 to 20 Hz"),
        ("fft", {"fmax": 80}, "fmin, fmax: 80 Hz is above the Nyquist frequency of these windows .64 Hz."),
        ("topographies", {"bands": {"gamma": [30, 80]}}, "bands: gamma: 80 Hz is above the Nyquist"),
        ("topographies", {"bands": {"mu": [9.6, 9.9]}}, "bands: mu: .* one every 0.5 Hz up to 64 Hz: widen it"),
        ("topographies", {"bands": {"mu": [13, 9]}}, r"bands: mu is \[13, 9\]"),
        ("topographies", {"bands": {"mu": [9]}}, r"bands: mu is \[9\]"),
        ("topographies", {"bands": {}}, "bands is {}: give one band or more by name"),
        ("topographies", {"bands": [[4, 7], [7, 13]]}, r"bands is \[\[4, 7\], \[7, 13\]\]: give one band"),
        ("topographies", {"size": 1}, "size is 1"),
        ("topographies", {"extent": 2.5}, "extent 2.5"),
        ("topographies", {"sphere": "head"}, "sphere: 'head' is neither"),
        ("topographies", {"sphere": (0, 0, 0, 0.01)}, "radii from its centre: give positions in m"),
        ("topographies", {"sphere": [0, 0, 0]}, r"sphere: \[0, 0, 0\] is no centre and radius"),
        ("topographies", {"sphere": 0.1}, "sphere: 0.1 is no centre and radius"),
        ("topographies", {"size": "24"}, "size is '24'"),
        ("topographies", {"extent": "1"}, "extent '1'"),
        ("topographies", {"relative": "no"}, "relative is 'no': give true or false"),
        ("topographies", {"bands": {"mu": 10}}, "bands: mu is 10: give its lowest and highest"),
        ("topographies", {"bands": {"mu": ["7", "13"]}}, r"bands: mu is \['7', '13'\]"),
        ("fft", {"fmax": "45"}, "fmax is '45': give a frequency in Hz"),
        ("fft", {"taper": None}, "taper: None is no window"),
        ("fft", {"taper": ["kaiser", "x"]}, "taper: .* is no window"),
        ("topographies", {"positions": None}, "one for each of 19 channels, there are none"),
    ],
)
def test_refuses(montages, kind, keywords, sentence):
    given = {"n_chans": 19, "n_times": 256, "sfreq": SFREQ, "positions": montages["cap"].tolist()}
    with pytest.raises(ValueError, match=sentence):
        inputs.make(kind, **(given | keywords))


def test_refuses_channels_that_nobody_can_place(montages):
    positions = montages["cap"].tolist()
    positions[2], positions[5] = None, [np.nan] * 3
    given = {"n_chans": 19, "n_times": 256, "sfreq": SFREQ, "positions": positions}
    with pytest.raises(ValueError, match="where F7, F4 stand: leave them out"):
        inputs.make("topographies", names=CAP, **given)
    with pytest.raises(ValueError, match=r"channel 2 \(from 0\), channel 5"):
        inputs.make("topographies", **given)


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        ([[0, 0.5], [0, 0], [0, -0.5], [0, -0.9]], "4 electrodes in one line"),
        ([[0.2, 0.3], [0.5, 0]], "2 electrodes in one line"),
        ([[0.2, 0.3], [0.5, 0], [-0.5, 0], [0.2, 0.3]], "channels 0 and 3 .* stand at one place"),
        ([[0.2, 0.3], [0.201, 0.3], [0.2, 0.301]], "too close together"),
    ],
)
def test_refuses_electrodes_that_make_no_map(places, sentence):
    with pytest.raises(ValueError, match=sentence):
        maps(on_sphere(np.array(places, dtype=float)), size=4)


def test_refuses_a_sphere_that_the_electrodes_do_not_determine():
    flat = np.array([[0, 0, 0.1], [0.05, 0, 0.1], [0, 0.05, 0.1], [-0.05, 0, 0.1], [0, -0.05, 0.1]])
    with pytest.raises(ValueError, match="four electrodes or more that do not lie in a plane"):
        _heads.project(flat, "fit")
