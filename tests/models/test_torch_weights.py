"""Weights of PyTorch: what checkpoints wrap them in, and what does not fit."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import models
from noisymix_tf.models import load_torch_weights
from support.network_checks import images_like, normalized
from support.torch_networks import Network, augmix_wide_resnet
from support.usage import assert_usage_error

IMAGES = images_like([2, 16, 16, 3])
NET = Network()
ARGUMENTS = normalized(IMAGES), "convShortcut", 1, 4, 4, 10
LOGITS = augmix_wide_resnet(NET, *ARGUMENTS)


@pytest.fixture
def model(tmp_path):
    """The network under a name of its own, saved and loaded."""
    shape = {"width": 0.25, "input_shape": (16, 16, 3)}
    model = models.augmix_wide_resnet(10, 1, name="mine", **shape)
    model.save(tmp_path / "mine.keras")
    return keras.models.load_model(tmp_path / "mine.keras")


def _in_parallel(state, prefix="module."):
    return {f"{prefix}{k}": v for k, v in state.items()}


def _robustbench(state, mean, std):
    shape = 1, 3, 1, 1
    return state | {"mu": np.full(shape, mean), "sigma": np.full(shape, std)}


def _sequential(state, mean, std):
    constants = {"normalize.mean": mean, "normalize.std": std}
    constants = {k: np.full((1, 3, 1, 1), v) for k, v in constants.items()}
    return _in_parallel(state, "model.") | constants


@pytest.mark.parametrize(
    "wrap",
    [
        _in_parallel,
        lambda s: {"epoch": 3, "state_dict": _in_parallel(s), "best_acc": 0.9},
        lambda s: {"model_state_dict": _in_parallel(s, "module.model.")},
        lambda s: _robustbench(s, 0.5, 0.5),
        lambda s: _sequential(s, 0.5, 0.5),
        lambda s: s | {"mu": np.float32(0.5)},
    ],
)
def test_what_wrappers_add_is_dropped(model, wrap):
    """Loaded into a model that was saved and renamed."""
    load_torch_weights(model, wrap(NET.state))
    assert_allclose(model(IMAGES), LOGITS, atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda s: {
                k: v for k, v in s.items() if "2.layer.0.conv2" not in k
            },
            "lack 'block2.layer.0.conv2.weight', which 'mine' needs",
        ),
        (
            lambda s: s | {"block4.conv1.weight": np.zeros(1)},
            "hold 'block4.conv1.weight', which 'mine' does not have (1 such",
        ),
        (
            lambda s: s | {"fc.weight": s["fc.weight"][:9]},
            "'fc.weight' has shape (16, 9) in Keras's layout, but 'mine' needs",
        ),
        (
            lambda s: s | {"conv1.weight": s["conv1.weight"].ravel()},
            "'conv1.weight' has shape (108,)",
        ),
        (
            lambda s: _robustbench(s, 0.5, 0.25),
            "sigma (0.25, 0.25, 0.25), 'mine' with std (0.5, 0.5, 0.5); build",
        ),
        (
            lambda s: _sequential(s, 0.4, 0.5),
            "normalises with normalize.mean (0.4, 0.4, 0.4), 'mine' with mean",
        ),
        (lambda s: None, "are a NoneType; give a mapping"),
        (lambda s: {"state_dict": [1.0]}, "are a list"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(model, spoil, words):
    before = model.get_weights()
    state = spoil(NET.state)
    assert_usage_error(lambda: load_torch_weights(model, state), words)
    for a, b in zip(model.weights, before, strict=True):
        assert_array_equal(a, b)


def test_weights_of_another_network_or_for_one_that_is_unknown(golden):
    weights = golden("resnet20_weights.npz")
    wide, inputs = models.wide_resnet(10, 1), keras.Input((8,))
    other = keras.Model(inputs, keras.layers.Dense(10, name="top")(inputs))
    assert_usage_error(lambda: load_torch_weights(wide, weights), "conv1.bias")
    words = "is not a registered network", "layer 'top'"
    assert_usage_error(lambda: load_torch_weights(other, weights), *words)
