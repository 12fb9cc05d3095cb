"""Networks by name: published sizes, shapes, limits, and refusals that say what would work."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hedgerow.nets import models  # noqa: E402

#: Parameters that make each network small, and the input it is tested with.
SMALL = {
    "r-scnn": ({"width": 0.05}, (18, 110)),
    "s-scnn": ({"width": 0.05}, (18, 63)),
    "r-vgg": ({"width": 0.25}, (8, 24)),
    "s-vgg": ({"width": 0.25}, (8, 48)),
    "eegnet": ({"kernel": 16}, (4, 64)),
    "shallow": ({"filters": 4, "kernel": 9, "pool": 16, "stride": 8}, (4, 64)),
    "tcn": ({"filters": 4, "levels": 3, "kernel": 3}, (4, 64)),
    "mlp": ({"hidden": [8]}, (4, 64)),
}


def count(net):
    return sum(p.numel() for p in net.parameters())


def small(name, n_outputs=2, seed=1):
    params, size = SMALL[name]
    torch.manual_seed(seed)
    return models.build(name, *size, n_outputs, **params)


def shapes(net, rows, columns):
    """Shape after each convolution and pool, and the number of features of the classifier."""
    found = []
    for layer in net.features:
        if isinstance(layer, torch.nn.Conv2d | torch.nn.MaxPool2d):
            layer.register_forward_hook(lambda _, __, out: found.append(tuple(out.shape[1:])))
    net(torch.zeros(1, rows, columns))
    return found, net.classifier[0].in_features


def dropouts(net):
    return [layer.p for layer in net.modules() if isinstance(layer, torch.nn.Dropout)]


def test_rscnn_has_the_published_layers():
    """Shapes and number of parameters of Truong et al. for 24 channels x 256 samples."""
    net = models.build("r-scnn", 24, 256, 2)
    assert count(net) == 12_713_934
    assert shapes(net, 24, 256) == ([
        (100, 22, 254), (100, 11, 127), (100, 9, 125), (100, 4, 62), (300, 3, 60),
        (300, 1, 30), (300, 1, 24), (300, 1, 23), (100, 1, 21), (100, 1, 19),
    ], 1900)  # fmt: skip
    assert dropouts(net) == [0.25] * 4


def test_sscnn_has_the_published_layers():
    """Three topographies side by side; the padding of the last convolutions lets the single row grow to seven."""
    net = models.build("s-scnn", 24, 72, 2)
    convolutions = 9 * 100 + 100 + 9 * 100**2 + 100 + 6 * 100 * 300 + 300 + 7 * 300**2 + 300
    convolutions += 3 * 300 * 100 + 100 + 3 * 100**2 + 100
    assert count(net) == convolutions + 1400 * 6144 + 6144 + 6144 * 2 + 2 == 9_641_934
    assert shapes(net, 24, 72) == ([
        (100, 22, 70), (100, 11, 35), (100, 9, 33), (100, 4, 16), (300, 3, 14),
        (300, 1, 7), (300, 3, 3), (300, 3, 2), (100, 5, 2), (100, 7, 2),
    ], 1400)  # fmt: skip
    assert dropouts(net) == [0.25] * 4


@pytest.mark.parametrize(
    ("name", "columns", "parameters", "flat"), [("r-vgg", 256, 7_452_850, 6144), ("s-vgg", 72, 1_751_506, 576)]
)
def test_vgg_has_the_published_layers(name, columns, parameters, flat):
    net, w = models.build(name, 24, columns, 2), 24 if name == "s-vgg" else columns
    assert count(net) == parameters
    assert shapes(net, 24, columns) == ([
        (16, 24, w), (16, 24, w), (16, 12, w // 2),
        (32, 12, w // 2), (32, 12, w // 2), (32, 6, w // 4),
        (64, 6, w // 4), (64, 6, w // 4), (64, 6, w // 4), (64, 3, w // 8),
    ], flat)  # fmt: skip
    hidden = [layer.out_features for layer in net.modules() if isinstance(layer, torch.nn.Linear)]
    assert (hidden, dropouts(net)) == ([1024, 1024, 2], [0.5, 0.5])
    assert not any("Norm" in type(layer).__name__ for layer in net.modules())


def test_svgg_stacks_the_maps_that_stand_side_by_side():
    net, seen = models.build("s-vgg", 24, 72, 2, width=0.1), []
    net.features.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    theta, alpha, beta = torch.randn(3, 5, 24, 24)
    net(torch.cat([theta, alpha, beta], dim=2))
    assert torch.equal(seen[0], torch.stack([theta, alpha, beta], dim=1))
    two = models.build("s-vgg", 24, 48, 2, width=0.1, maps=2)
    assert two.features[0].in_channels == 2
    with pytest.raises(ValueError, match="72 columns are not 5 maps"):
        models.build("s-vgg", 24, 72, 2, maps=5)


@pytest.mark.parametrize(
    ("name", "filters", "hidden"), [("r-scnn", [5, 5, 15, 15, 5, 5], 307), ("r-vgg", [1, 1, 2, 2, 3, 3, 3], 51)]
)
def test_width_scales_filters_and_hidden_units(name, filters, hidden):
    net = models.build(name, 24, 256, 3, width=0.05)
    assert [layer.out_channels for layer in net.features if isinstance(layer, torch.nn.Conv2d)] == filters
    assert net.final_layer.in_features == hidden
    assert net(torch.zeros(4, 24, 256)).shape == (4, 3)


def test_names_of_weights_stay_as_published_files_have_them():
    def prefixes(name):
        return {key.rpartition(".")[0] for key in small(name).state_dict()}

    assert prefixes("r-scnn") == {f"features.{n}" for n in (0, 4, 8, 12, 16, 18)} | {"classifier.0", "final_layer"}
    assert prefixes("eegnet") == {
        "temporal.1", "temporal.2", "spatial", "pooled.0", "separable.1", "separable.2", "separable.3", "final_layer",
    }  # fmt: skip
    without = models.build("r-scnn", 18, 110, 2, width=0.05, dropout=0.0)
    assert list(without.state_dict()) == list(small("r-scnn").state_dict())


def test_eegnet_has_the_published_number_of_parameters():
    """EEGNet-8,2, kernel 64, 64 channels x 128 samples, 4 classes, counted layer by layer from the paper's table."""
    f1, depth, channels, kernel, samples, classes = 8, 2, 64, 64, 128, 4
    f2 = f1 * depth
    expected = kernel * f1 + 2 * f1 + channels * depth * f1 + 2 * depth * f1
    expected += 16 * depth * f1 + f2 * depth * f1 + 2 * f2 + classes * (f2 * (samples // 32)) + classes
    assert count(models.build("eegnet", channels, samples, classes, f1=8, depth=2, kernel=64)) == expected


@pytest.mark.parametrize("kernel", [15, 64])
def test_eegnet_keeps_the_number_of_samples_before_pooling(kernel):
    net = models.build("eegnet", 3, 100, 2, kernel=kernel)
    assert net.temporal(torch.zeros(1, 1, 3, 100)).shape[-2:] == (3, 100)
    assert net(torch.zeros(2, 3, 100)).shape == (2, 2)


def test_eegnet_constrains_its_norms_once_for_all():
    """But for rounding: a norm of 1 may come out as the next number above it."""
    net = models.build("eegnet", 8, 128, 2)
    with torch.no_grad():
        net.spatial.weight.mul_(100)
        net.final_layer.weight.mul_(0.01)
    slight = net.final_layer.weight.clone()
    net.constrain()
    norms = net.spatial.weight.flatten(1).norm(dim=1)
    assert torch.allclose(norms, torch.ones_like(norms), atol=1e-5)
    assert torch.equal(net.final_layer.weight, slight)
    once = net.spatial.weight.clone()
    net.constrain()
    assert torch.allclose(net.spatial.weight, once, rtol=1e-6, atol=0)


def test_shallow_has_the_papers_layers():
    """22 channels, 4.5 s at 250 Hz, four classes: 47,364 parameters, as its authors' package counts them."""
    net = models.build("shallow", 22, 1125, 4)
    pools = (1125 - 24 - 75) // 15 + 1
    assert count(net) == 40 * 25 + 40 + 40 * 40 * 22 + 2 * 40 + 4 * 40 * pools + 4 == 47_364


def test_shallow_is_its_two_convolutions_one_after_the_other():
    net = small("shallow").double().eval()
    x = torch.randn(3, 4, 64, dtype=torch.float64)
    by_hand = net.norm(net.spatial(net.temporal(x[:, None])).squeeze(2)) ** 2
    means = torch.stack([by_hand[:, :, i : i + 16].mean(2) for i in range(0, 64 - 8 - 16 + 1, 8)], dim=2)
    assert torch.allclose(net(x), net.final_layer(means.log().flatten(1)), atol=1e-12)


def test_shallow_has_the_papers_durations_at_any_rate():
    def lengths(**how):
        net = models.build("shallow", 2, 1000, 2, **how)
        return net.temporal.kernel_size[1], net.pool.kernel_size[0], net.pool.stride[0]

    assert lengths() == lengths(sfreq=250) == (25, 75, 15)
    assert lengths(sfreq=100) == (10, 30, 6)
    assert lengths(sfreq=100, kernel=25) == (25, 30, 6)
    assert models.smallest("shallow") == (1, 25 - 1 + 75)
    assert models.smallest("shallow", sfreq=100) == (1, 10 - 1 + 30)
    with pytest.raises(ValueError, match="at least 1 channels x 39 samples"):
        models.build("shallow", 2, 38, 2, sfreq=100)


def test_tcn_sees_the_context_that_it_says():
    """Two convolutions a block, dilated by 1, 2 and 4: 2 (3 - 1) (1 + 2 + 4) + 1 = 29 samples, centred."""
    net, x = small("tcn").eval(), torch.randn(1, 4, 64, requires_grad=True)
    net.blocks(net.spatial(x))[0, :, 32].sum().backward()
    seen = x.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (seen.min().item(), seen.max().item()) == (32 - 14, 32 + 14)


def test_mlp_without_hidden_units_is_a_linear_model():
    net = models.build("mlp", 2, 3, 1, hidden=[])
    assert count(net) == 7
    x = torch.randn(5, 2, 3)
    assert torch.allclose(net(x), x.flatten(1) @ net.final_layer.weight.T + net.final_layer.bias)
    assert count(models.build("mlp", 2, 3, 2, hidden=[5, 4])) == 6 * 5 + 5 + 5 * 4 + 4 + 4 * 2 + 2


@pytest.mark.parametrize("name", list(models.MODELS))
def test_smallest_input_works_and_one_less_is_refused(name):
    params, _ = SMALL[name]
    rows, columns = models.smallest(name, **params)
    net = models.build(name, rows, columns, 2, **params).eval()
    assert net(torch.zeros(1, rows, columns)).shape == (1, 2)
    sentence = f"at least {rows} channels x {columns} samples"
    for fewer in [(rows - 1, columns), (rows, columns - 1)]:
        with pytest.raises(ValueError, match=sentence):
            models.build(name, *fewer, 2, **params)


def test_smallest_inputs_of_the_published_networks():
    found = {name: models.smallest(name) for name in ("r-scnn", "s-scnn", "r-vgg", "s-vgg", "eegnet")}
    assert found == {"r-scnn": (18, 110), "s-scnn": (18, 62), "r-vgg": (8, 8), "s-vgg": (8, 24), "eegnet": (1, 32)}


@pytest.mark.parametrize("name", list(models.MODELS))
def test_every_network_learns_a_small_problem_completely(name):
    """A slow or a quick wave over all channels in half as much noise."""
    rows, columns = SMALL[name][1]
    generator = torch.Generator().manual_seed(7)
    y = torch.arange(48) % 2
    wave = torch.sin(2 * torch.pi * torch.where(y == 1, 8.0, 2.0)[:, None] * torch.arange(columns) / columns)
    x = wave[:, None] + 0.5 * torch.randn(48, rows, columns, generator=generator)
    net = small(name)
    optimiser = torch.optim.Adamax(net.parameters(), lr=0.01)
    for _ in range(120):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(net.train()(x), y).backward()
        optimiser.step()
        if (net.eval()(x).argmax(1) == y).all():
            break
    assert (net.eval()(x).argmax(1) == y).all()


@pytest.mark.parametrize("name", list(models.MODELS))
def test_bits_follow_the_torch_seed_alone(name):
    """Weights, forward and backward, under deterministic algorithms."""

    def bits(seed, other):
        random.seed(other)
        np.random.seed(other)  # noqa: NPY002
        net = small(name, seed=seed)
        x = torch.randn(6, *SMALL[name][1], generator=torch.Generator().manual_seed(2))
        torch.nn.functional.cross_entropy(net.train()(x), torch.arange(6) % 2).backward()
        return torch.cat([torch.cat([p.flatten(), p.grad.flatten()]) for p in net.parameters()])

    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        first, same, different = bits(3, 1), bits(3, 2), bits(4, 1)
    finally:
        torch.use_deterministic_algorithms(before)
    assert torch.isfinite(first).all()
    assert torch.equal(first, same) and not torch.equal(first, different)


@pytest.mark.parametrize("name", list(models.MODELS))
def test_one_output_is_a_regression(name):
    assert small(name, n_outputs=1)(torch.zeros(5, *SMALL[name][1])).shape == (5, 1)
    with pytest.raises(ValueError, match="asked for 0 outputs"):
        small(name, n_outputs=0)


def test_parameters_and_recipes_of_every_network():
    assert models.parameters("r-scnn") == {"width": 1.0, "dropout": 0.25}
    assert "sfreq" not in models.parameters("shallow")
    for name in models.MODELS:
        assert set(SMALL[name][0]) <= set(models.parameters(name))
        assert set(models.recipe(name)) == {"epochs", "batch", "lr", "weight_decay"}
        assert models.packages(name) == {}
    models.recipe("tcn")["lr"] = 7
    assert models.recipe("tcn")["lr"] != 7


def test_maps_are_not_cut_apart():
    for name, params, shown in (("s-vgg", {}, 3), ("s-vgg", {"maps": 2}, 2), ("r-vgg", {}, 3), ("eegnet", {}, 1)):
        models.fitting(name, params, shown)
    for params, shown in (({}, 2), ({}, 1), ({"maps": 2}, 4)):
        with pytest.raises(ValueError, match=f"stand side by side, and its input has {shown}: give it maps: {shown}"):
            models.fitting("s-vgg", params, shown)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="eegnet"):
        models.build("resnet", 24, 256, 2)
    with pytest.raises(ValueError, match="it has f1, depth, kernel, dropout"):
        models.build("eegnet", 24, 256, 2, width=0.5)


@pytest.mark.parametrize(
    ("name", "param", "value", "wanted"),
    [
        ("r-scnn", "width", 0, "factor above 0"),
        ("r-vgg", "dropout", 1, "below 1"),
        ("r-vgg", "dropout", float("nan"), "below 1"),
        ("eegnet", "kernel", 12.5, "whole number"),
        ("eegnet", "f1", True, "whole number"),
        ("shallow", "pool", 0, "whole number"),
        ("tcn", "levels", None, "whole number"),
        ("mlp", "hidden", 64, "list of whole numbers"),
        ("mlp", "hidden", [64, 0], "list of whole numbers"),
    ],
)
def test_values_that_cannot_be_are_refused(name, param, value, wanted):
    with pytest.raises(ValueError, match=rf"model {name}: {param} is .*{wanted}"):
        models.build(name, 24, 256, 2, **{param: value})
