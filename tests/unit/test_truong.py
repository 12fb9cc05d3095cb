"""What makes the published networks fast changes nothing that they compute."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from hedgerow.nets import _truong, models

SIZES = {"r-scnn": (24, 256), "s-scnn": (24, 72), "r-vgg": (24, 256), "s-vgg": (24, 72)}


def made(name, **params):
    torch.manual_seed(1)
    return models.build(name, *SIZES[name], 2, width=0.1, **params)


def gradients(net, x):
    """Outputs, and the gradients of their squares."""
    net.zero_grad()
    out = net(x)
    out.square().sum().backward()
    return [out, *(p.grad for p in net.parameters())]


def plain(net):
    """The same network with each ReLU before its pool, and with planes of which each lies by itself."""
    layers = list(net.features)
    for place, (first, second) in enumerate(pairwise(net.features)):
        if isinstance(first, nn.MaxPool2d) and isinstance(second, nn.ReLU):
            layers[place : place + 2] = second, first
    return nn.Sequential(*layers)


@pytest.mark.parametrize("name", SIZES)
def test_pools_before_the_relu_give_the_same_bits(name):
    net = made(name, dropout=0.0)
    # whole numbers held for 4 samples: many values of a pool are equal
    x = torch.randint(-3, 4, (5, 24, SIZES[name][1] // 4)).repeat_interleave(4, dim=2).float()
    ours = [value.clone() for value in gradients(net, x)]
    before, net.features = net.features, plain(net)
    assert not isinstance(before[-1], nn.MaxPool2d) and any(value.count_nonzero() for value in ours)
    assert all(torch.equal(a, b) for a, b in zip(ours, gradients(net, x), strict=True))


@pytest.mark.parametrize("name", SIZES)
def test_the_layout_in_memory_changes_rounding_alone(name, monkeypatch):
    net, x = made(name, dropout=0.0), torch.randn(5, *SIZES[name])
    layouts = []
    net.features[0].register_forward_hook(
        lambda layer, args, out: layouts.append(out.is_contiguous(memory_format=torch.channels_last))
    )
    ours = [value.clone() for value in gradients(net, x)]
    monkeypatch.setattr(_truong, "_image", lambda x, maps: x.unflatten(2, (maps, -1)).transpose(1, 2).contiguous())
    for a, b in zip(ours, gradients(net, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * b.abs().max().item())
    assert layouts == [True, False]


def test_planes_are_the_maps_that_stand_side_by_side():
    maps = torch.randn(2, 3, 4, 5)  # windows, planes, rows, columns
    assert torch.equal(_truong._image(torch.cat(maps.unbind(1), dim=2), 3), maps)


@pytest.mark.parametrize("p", [0.25, 0.1, 0.999])
def test_dropout_drops_its_share_and_keeps_the_mean(p):
    drop, x = _truong._Dropout(p), torch.ones(50, 20, 11, 13, requires_grad=True)
    torch.manual_seed(1)
    out = drop(x)
    kept = out > 0
    error = 5 * (p * (1 - p) / x.numel()) ** 0.5
    assert abs(kept.double().mean().item() - (1 - p)) < error
    for dim in (1, 3):  # neighbours know nothing of each other
        both = kept & kept.roll(1, dim)
        assert abs(both.double().mean().item() - (1 - p) ** 2) < 5 * ((1 - p) ** 2 / x.numel()) ** 0.5 + 1e-6
    torch.testing.assert_close(
        out[kept], torch.full_like(out[kept], 1 / (1 - p)), rtol=1e-2 if p > 0.9 else 1e-4, atol=0
    )
    out.sum().backward()
    assert torch.equal(x.grad, out)
    torch.manual_seed(1)
    assert torch.equal(drop(x), out) and not torch.equal(drop(x), out)
    assert drop.eval()(x) is x


def test_dropout_leaves_maps_as_they_lie():
    x = torch.randn(3, 4, 5, 7).contiguous(memory_format=torch.channels_last)
    assert _truong._Dropout(0.25)(x).is_contiguous(memory_format=torch.channels_last)
