"""The door to braindecode's models, with a stand-in of the package, and with the real one where it is installed."""

import importlib.util
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hedgerow.nets import models, train  # noqa: E402

PACKAGE = """
import torch
import torchaudio.transforms as ta_transforms
from torch import nn
from torchaudio.functional import lfilter

torch.rand(1)


class Plain(nn.Module):
    def __init__(self, n_chans=None, n_outputs=None, n_times=None, sfreq=None, *, units=4, activation=nn.ELU):
        super().__init__()
        self.said = (n_chans, n_outputs, n_times, sfreq)
        first = nn.Linear(n_chans * n_times, units)
        self.body = nn.Sequential(nn.Flatten(), first, nn.BatchNorm1d(units), activation())
        self.final_layer = nn.Linear(units, n_outputs)

    def forward(self, x):
        return self.final_layer(self.body(x))


class Filtered(Plain):
    def forward(self, x):
        return super().forward(lfilter(x, None, None))


class Resampled(Plain):
    def __init__(self, n_chans=None, n_outputs=None, n_times=None, sfreq=None):
        super().__init__(n_chans, n_outputs, n_times)
        self.resample = ta_transforms.Resample(sfreq, 100)


class Spectral(ta_transforms.Spectrogram):
    def __init__(self, n_chans=None, n_outputs=None, n_times=None):
        super().__init__(n_fft=64)


class Patched(Plain):
    def __init__(self, n_chans=None, n_outputs=None, n_times=None, sfreq=None, chs_info=None):
        super().__init__(n_chans, n_outputs, n_times)
        if n_times % 200:
            raise AssertionError("n_times must be\\n   a multiple of 200")


class Dense(Plain):
    def forward(self, x):
        return super().forward(x)[:, :, None].expand(-1, -1, 7)


class Sequence(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write packages beside each other as they would be installed; none of them is left behind."""
    ours = ("braindecode", "torchaudio")
    kept = {key: sys.modules.pop(key) for key in list(sys.modules) if key.split(".")[0] in ours}
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        path = tmp_path / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("braindecode/__init__", "")
    write("braindecode/models/__init__", PACKAGE)
    write("torchaudio/_internal", "")
    write("torchaudio/__init__", "from . import _internal\nraise OSError('libtorch_cuda.so: cannot open')\n")
    yield write
    for key in [key for key in sys.modules if key.split(".")[0] in ours]:
        del sys.modules[key]
    sys.modules.update(kept)


def test_a_model_is_built_by_the_name_of_its_class(package):
    net = models.build("braindecode:Plain", 3, 8, 2, sfreq=128.0, units=5, activation="torch.nn.ReLU")
    assert net.said == (3, 2, 8, 128.0)
    assert net.final_layer.in_features == 5 and isinstance(net.body[3], torch.nn.ReLU)
    assert net.training and net(torch.zeros(4, 3, 8)).shape == (4, 2)
    short = models.build("braindecode:Plain", 3, 8, 1, activation="Tanh")
    assert short.said == (3, 1, 8, None) and isinstance(short.body[3], torch.nn.Tanh)


def test_its_parameters_are_the_arguments_of_its_class(package):
    assert models.parameters("braindecode:Plain") == {"units": 4, "activation": torch.nn.ELU}
    assert "chs_info" in models.parameters("braindecode:Patched")
    assert set(models.recipe("braindecode:Plain")) == {"epochs", "batch", "lr", "weight_decay"}
    with pytest.raises(ValueError, match="braindecode:Plain has no parameter 'unit': it has units, activation"):
        models.build("braindecode:Plain", 3, 8, 2, unit=5)


def test_weights_follow_the_seed_whether_it_is_imported_already_or_not(package):
    def weights():
        torch.manual_seed(3)
        net = models.build("braindecode:Plain", 3, 8, 2)
        return torch.cat([value.flatten() for value in net.state_dict().values()])

    first = weights()
    assert "braindecode.models" in sys.modules
    assert torch.equal(first, weights())


def test_a_trial_leaves_the_network_and_the_generator_as_they_were(package):
    torch.manual_seed(3)
    net = models.build("braindecode:Plain", 3, 8, 2)
    after = torch.rand(1)
    assert torch.equal(net.body[2].running_var, torch.ones(4)) and net.body[2].num_batches_tracked == 0
    torch.manual_seed(3)
    sys.modules["braindecode.models"].Plain(3, 2, 8)
    assert torch.equal(torch.rand(1), after)


def test_a_torchaudio_that_cannot_be_loaded_leaves_no_trace(package):
    models.build("braindecode:Plain", 3, 8, 2)
    assert not [key for key in sys.modules if key.split(".")[0] == "torchaudio"]
    with pytest.raises(OSError, match="libtorch_cuda"):
        importlib.import_module("torchaudio")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("Filtered", "torchaudio.functional.lfilter"),
        ("Resampled", "torchaudio.transforms.Resample"),
        ("Spectral", "torchaudio.transforms.Spectrogram"),
    ],
)
def test_models_that_need_torchaudio_say_so(package, kind, what):
    with pytest.raises(ValueError, match=rf"braindecode:{kind} .*{what} is needed.*libtorch_cuda.so.*whl/cpu"):
        models.build(f"braindecode:{kind}", 3, 8, 2, sfreq=128.0)


def test_a_torchaudio_that_can_be_loaded_is_used(package):
    package("torchaudio/__init__", "")
    package("torchaudio/functional", "def lfilter(x, a, b):\n    return x\n")
    package("torchaudio/transforms", "from torch.nn import Module as Spectrogram\n")
    net = models.build("braindecode:Filtered", 3, 8, 2)
    assert net(torch.zeros(4, 3, 8)).shape == (4, 2)
    assert sys.modules["torchaudio.functional"].lfilter(7, 1, 1) == 7


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("Patched", r"3 channels x 8 samples at 128 Hz: .*AssertionError: n_times must be a multiple of 200"),
        ("Dense", r"it makes \(2, 2, 7\) and not \(2, 2\)"),
        ("Sequence", "takes no n_chans"),
        ("Plane", "is not known: braindecode has Plain"),
        ("lfilter", "is not known: braindecode has .*Filtered"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_name(package, kind, sentence):
    with pytest.raises(ValueError, match=rf"braindecode:{kind}'? .*{sentence}"):
        models.build(f"braindecode:{kind}", 3, 8, 2, sfreq=128.0)


def test_without_braindecode_the_error_says_how_to_install_it_and_our_own_models_work(package, monkeypatch):
    monkeypatch.setitem(sys.modules, "braindecode", None)
    assert models.build("eegnet", 3, 64, 2)(torch.zeros(1, 3, 64)).shape == (1, 2)
    assert models.recipe("braindecode:Plain")
    with pytest.raises(
        ImportError, match=r"braindecode:Plain needs braindecode.*pip install 'hedgerow\[braindecode\]'"
    ):
        models.build("braindecode:Plain", 3, 64, 2)


@pytest.fixture
def real():
    if importlib.util.find_spec("braindecode") is None:
        pytest.skip("braindecode is not installed")


def test_shallow_gives_what_the_real_shallow_network_gives(real):
    """The package of the paper's authors, with our weights: logits and gradient of the temporal filters."""
    theirs = models.build("braindecode:ShallowFBCSPNet", 5, 300, 3, sfreq=250).eval()
    ours = models.build("shallow", 5, 300, 3).eval()
    where = {
        "temporal": "conv_time_spat.conv_time", "spatial": "conv_time_spat.conv_spat", "norm": "bnorm",
        "final_layer": "final_layer.conv_classifier",
    }  # fmt: skip
    state = theirs.state_dict()
    for key, value in ours.state_dict().items():
        part, _, what = key.rpartition(".")
        state[f"{where[part]}.{what}"] = value.reshape(state[f"{where[part]}.{what}"].shape)
    theirs.load_state_dict(state)
    x = torch.randn(4, 5, 300)
    assert torch.allclose(ours(x), theirs(x), atol=1e-4)
    for net in (ours, theirs):
        net(x)[:, 0].sum().backward()
    gradient = theirs.conv_time_spat.conv_time.weight.grad.flatten()
    assert torch.allclose(ours.temporal.weight.grad.flatten(), gradient, rtol=1e-3, atol=1e-3 * gradient.abs().max())


def test_real_models_are_built_or_refused_by_their_limits(real):
    net = models.build("braindecode:EEGConformer", 24, 256, 2, sfreq=128)
    torch.nn.functional.cross_entropy(net(torch.randn(3, 24, 256)), torch.tensor([0, 1, 0])).backward()
    assert models.packages("braindecode:EEGConformer")["braindecode"]
    with pytest.raises(ValueError, match=r"braindecode:Labram cannot be used for 24 channels x 256 samples.*200"):
        models.build("braindecode:Labram", 24, 256, 2, sfreq=128)
    with pytest.raises(ValueError, match=r"braindecode:DGCNN .*chs_info"):
        models.build("braindecode:DGCNN", 24, 256, 2, sfreq=128)


def test_parameters_that_play_no_part_do_not_stop_two_processes(real):
    """MSVTNet has some, without which each process would wait for gradients that never come."""
    given = dict(model="braindecode:MSVTNet", epochs=1, batch=4, world=2, sfreq=128.0)
    rng = np.random.default_rng(0)
    _, curve, account = train.fit(rng.normal(size=(8, 4, 256)), np.arange(8) % 2, **given)
    assert account["world"] == 2 and np.isfinite(curve["train_loss"]).all()
