import numpy as np
import pytest

from noisymix_tf import models
from noisymix_tf.errors import UsageError
from noisymix_tf.models.torch_weights import load_torch_weights, torch_name


def state_of(model):
    """The PyTorch form of a model's own weights."""
    layouts = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
    suffixes = {
        "kernel": "weight",
        "gamma": "weight",
        "beta": "bias",
        "moving_mean": "running_mean",
        "moving_variance": "running_var",
    }
    return {
        f"{torch_name(layer.name)}.{suffixes.get(v.name, v.name)}": (
            np.transpose(v, layouts[len(v.shape)])
        )
        for layer in model.layers
        for v in layer.weights
    }


@pytest.fixture(scope="module")
def model():
    return models.wide_resnet(10, 1, dropout=0.1)


@pytest.fixture
def state(model):
    return state_of(model)


def test_names():
    assert torch_name("stem") == "conv1"
    assert torch_name("stage1_block2_bn1") == "layer1.1.bn1"
    assert torch_name("stage3_block1_shortcut") == "layer3.0.shortcut.0"
    assert torch_name("final_bn") == "bn1"
    assert torch_name("logits") == "linear"


def test_round_trip_from_another_seed(model, state):
    state["layer1.0.bn1.num_batches_tracked"] = np.array(3)
    other = models.wide_resnet(10, 1, seed=9)
    load_torch_weights(other, {f"module.{k}": v for k, v in state.items()})
    for a, b in zip(other.weights, model.weights):
        np.testing.assert_array_equal(a, b)


def test_names_are_those_of_the_reference(golden):
    arrays = golden("tiny_wrn10_1.npz")
    reference = {k[3:] for k in arrays.files if k.startswith("w__")}
    assert set(state_of(models.wide_resnet(10, 1))) == reference


def _drop(state):
    del state["layer2.0.conv2.bias"]


def _add(state):
    state["layer4.0.conv1.weight"] = np.zeros([1])


def _reshape(state):
    state["linear.weight"] = state["linear.weight"][:9]


def _flatten(state):
    state["conv1.weight"] = state["conv1.weight"].ravel()


@pytest.mark.parametrize(
    "spoil, message",
    [
        (_drop, "lack 'layer2.0.conv2.bias'"),
        (_add, "hold 'layer4.0.conv1.weight'"),
        (_reshape, r"'linear.weight' has shape \(64, 9\)"),
        (_flatten, "'conv1.weight' has shape"),
    ],
)
def test_entries_that_do_not_fit(state, spoil, message):
    other = models.wide_resnet(10, 1, seed=9)
    before = [v.numpy() for v in other.weights]
    spoil(state)
    with pytest.raises(UsageError, match=message) as error:
        load_torch_weights(other, state)
    assert "\n" not in str(error.value)
    for a, b in zip(other.weights, before):
        np.testing.assert_array_equal(a, b)
