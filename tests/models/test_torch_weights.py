"""Weights of PyTorch: what checkpoints wrap them in, and what does not fit."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import models
from support import torch_networks
from support.released_sets import noise
from support.usage import assert_usage_error

IMAGES = noise(2, 16, 16, 3)
NET = torch_networks.Network()
ARGUMENTS = torch_networks.normalized(IMAGES), "convShortcut", 1, 4, 4, 10
LOGITS = torch_networks.augmix_wide_resnet(NET, *ARGUMENTS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    shape = {"width": 0.25, "input_shape": (16, 16, 3)}
    model = models.augmix_wide_resnet(10, 1, name="mine", **shape)
    model.save(file := tmp_path_factory.mktemp("saved") / "mine.keras")
    return keras.models.load_model(file)


def _named(state, prefix):
    return {f"{prefix}{k}": v for k, v in state.items()}


def _normalizing(state, mean, std, names=("mu", "sigma")):
    values = (np.full((1, 3, 1, 1), value) for value in (mean, std))
    return state | dict(zip(names, values))


SEQUENTIAL = "normalize.mean", "normalize.std"
WRAPS = [
    lambda s: {"epoch": 3, "state_dict": _named(s, "module."), "best": 0.9},
    lambda s: {"model_state_dict": _named(s, "module.model.")},
    lambda s: _normalizing(s, 0.5, 0.5),
    lambda s: _normalizing(_named(s, "model."), 0.5, 0.5, SEQUENTIAL),
    lambda s: s | {"mu": np.float32(0.5)},
]


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_wrappers_add_is_dropped(model, wrap):
    model.set_weights([np.zeros(v.shape) for v in model.weights])
    models.load_torch_weights(model, wrap(NET.state))
    assert_allclose(model(IMAGES), LOGITS, atol=1e-4)


CONV = "block2.layer.0.conv2.weight"
SPOILED = [
    (lambda s: {k: s[k] for k in s if k != CONV}, f"lack '{CONV}', which 'm"),
    (lambda s: s | {"b.weight": np.zeros(1)}, "hold 'b.weight', which 'mine'"),
    (lambda s: s | {"fc.weight": s["fc.weight"][:9]}, "shape (16, 9) in Ker"),
    (lambda s: s | {"conv1.weight": np.ones(108)}, "weight' has shape (108,)"),
    (lambda s: _normalizing(s, 0.5, 0.25), "sigma (0.25, 0.25, 0.25), 'mi"),
    (lambda s: _normalizing(s, 0.4, 0.5, SEQUENTIAL), "normalize.mean (0.4,"),
    (lambda s: None, "are a NoneType; give a mapping"),
    (lambda s: {"state_dict": [1.0]}, "are a list"),
]


@pytest.mark.parametrize("spoil, words", SPOILED)
def test_what_does_not_fit_is_refused_and_changes_nothing(model, spoil, words):
    before = model.get_weights()
    state = spoil(NET.state)
    assert_usage_error(lambda: models.load_torch_weights(model, state), words)
    for a, b in zip(model.weights, before, strict=True):
        assert_array_equal(a, b)


def test_weights_of_another_network_or_for_one_that_is_unknown(golden):
    weights, load = golden("resnet20_weights.npz"), models.load_torch_weights
    wide, top = models.wide_resnet(10, 1), keras.layers.Dense(10, name="top")
    other = keras.Sequential([keras.Input((8,)), top])
    assert_usage_error(lambda: load(wide, weights), "conv1.bias")
    assert_usage_error(lambda: load(other, weights), "for its layer 'top'")
