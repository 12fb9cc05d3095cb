"""Networks by name: published sizes, shapes, limits, and refusals that say what would work."""

import pytest

torch = pytest.importorskip("torch")

from hedgerow.nets import models  # noqa: E402


def count(net):
    return sum(p.numel() for p in net.parameters())


def test_rscnn_has_the_published_layers():
    """Shapes and number of parameters of Truong et al. for 24 channels x 256 samples."""
    net = models.build("r-scnn", 24, 256, 2)
    assert count(net) == 12_713_934
    shapes, x = [], torch.zeros(1, 1, 24, 256)
    for layer in net.features:
        x = layer(x)
        if isinstance(layer, torch.nn.Conv2d | torch.nn.MaxPool2d):
            shapes.append(tuple(x.shape[1:]))
    assert shapes == [
        (100, 22, 254), (100, 11, 127), (100, 9, 125), (100, 4, 62), (300, 3, 60),
        (300, 1, 30), (300, 1, 24), (300, 1, 23), (100, 1, 21), (100, 1, 19),
    ]  # fmt: skip
    assert x.flatten(1).shape[1] == 1900
    assert [m.p for m in net.modules() if isinstance(m, torch.nn.Dropout)] == [0.25] * 4


def test_rscnn_width_scales_filters_and_hidden_units():
    net = models.build("r-scnn", 24, 256, 3, width=0.05)
    filters = [layer.out_channels for layer in net.features if isinstance(layer, torch.nn.Conv2d)]
    assert filters == [5, 5, 15, 15, 5, 5]
    assert net.final_layer.in_features == 307
    assert net(torch.zeros(4, 24, 256)).shape == (4, 3)
    with pytest.raises(ValueError, match="width"):
        models.build("r-scnn", 24, 256, 2, width=0)


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


def test_eegnet_constrains_its_norms():
    net = models.build("eegnet", 8, 128, 2)
    with torch.no_grad():
        net.spatial.weight.mul_(100)
        net.final_layer.weight.mul_(0.01)
    small = net.final_layer.weight.clone()
    net.constrain()
    norms = net.spatial.weight.flatten(1).norm(dim=1)
    assert torch.allclose(norms, torch.ones_like(norms), atol=1e-5)
    assert torch.equal(net.final_layer.weight, small)


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_smallest_input_works_and_one_less_is_refused(name):
    channels, samples = models.smallest(name)
    params = {"width": 0.02} if name == "r-scnn" else {"kernel": 16}
    net = models.build(name, channels, samples, 2, **params).eval()
    assert net(torch.zeros(1, channels, samples)).shape == (1, 2)
    with pytest.raises(ValueError, match=f"at least {channels} channels x {samples} samples"):
        models.build(name, channels, samples - 1, 2, **params)
    if channels > 1:
        with pytest.raises(ValueError, match=f"at least {channels} channels"):
            models.build(name, channels - 1, samples, 2, **params)


def test_weights_follow_the_seed():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in models.build("eegnet", 4, 64, 2).parameters()])

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="eegnet"):
        models.build("resnet", 24, 256, 2)
    with pytest.raises(ValueError, match="it has f1, depth, kernel, dropout"):
        models.build("eegnet", 24, 256, 2, width=0.5)
    with pytest.raises(ValueError, match="at least two"):
        models.build("eegnet", 24, 256, 1)
    assert models.parameters("r-scnn") == {"width": 1.0, "dropout": 0.25}
