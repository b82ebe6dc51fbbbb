"""Weights of PyTorch: what checkpoints wrap them in, and what does not fit."""

import functools

import keras
import numpy as np
import pytest

from noisymix_tf import models
from support.network_checks import images_like, normalized
from support.torch_networks import Network, augmix_wide_resnet
from support.usage import assert_usage_error

IMAGES = images_like([2, 16, 16, 3])


@pytest.fixture(scope="module")
def oracle():
    """A network in NumPy, and its logits."""
    net, x = Network(), normalized(IMAGES)
    return net, augmix_wide_resnet(net, x, 1, 4, 4, 10, "convShortcut")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The network under a name of its own, saved and loaded; its weights."""
    path = tmp_path_factory.mktemp("model") / "mine.keras"
    shape = {"width": 0.25, "input_shape": (16, 16, 3)}
    model = models.augmix_wide_resnet(10, 1, name="mine", **shape)
    model.save(path)
    return keras.models.load_model(path), model.get_weights()


@pytest.fixture
def model(loaded):
    loaded[0].set_weights(loaded[1])
    return loaded[0]


def _in_parallel(state, prefix="module."):
    return {f"{prefix}{k}": v for k, v in state.items()}


def _robustbench(state, mean, std):
    shape = 1, 3, 1, 1
    return state | {"mu": np.full(shape, mean), "sigma": np.full(shape, std)}


def _sequential(state, mean, std):
    constants = np.full((2, 3, 1, 1), [[[[mean]]], [[[std]]]], np.float32)
    names = "normalize.mean", "normalize.std"
    return _in_parallel(state, "model.") | dict(zip(names, constants))


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
def test_what_wrappers_add_is_dropped(oracle, model, wrap):
    """Loaded into a model that was saved and renamed."""
    models.load_torch_weights(model, wrap(oracle[0].state))
    np.testing.assert_allclose(model(IMAGES), oracle[1], atol=1e-4)


def _without(state, key):
    return {k: v for k, v in state.items() if k != key}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda s: _without(s, "block2.layer.0.conv2.weight"),
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
        (lambda s: "resnet50.pth", "are a str"),
        (lambda s: {"state_dict": [1.0]}, "are a list"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    oracle, loaded, model, spoil, words
):
    state = spoil(dict(oracle[0].state))
    assert_usage_error(lambda: models.load_torch_weights(model, state), words)
    for a, b in zip(model.weights, loaded[1], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet56", "lack 'layer1.3.conv1.weight', which 'resnet56' needs"),
        ("wide_resnet28_4", "lack 'conv1.bias'"),
    ],
)
def test_weights_of_another_network(golden, name, words):
    weights = golden("resnet20_weights.npz")
    load = functools.partial(models.load_torch_weights, models.build(name))
    assert_usage_error(lambda: load(weights), words)


def test_models_that_are_not_registered_networks(oracle):
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(10, name="top")(inputs))
    load = functools.partial(models.load_torch_weights, model)
    words = "is not a registered network", "layer 'top'"
    assert_usage_error(lambda: load(oracle[0].state), *words)
