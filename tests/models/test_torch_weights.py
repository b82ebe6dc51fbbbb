import keras
import numpy as np
import pytest

from noisymix_tf import models
from noisymix_tf.errors import UsageError
from support.network_checks import images_like, normalized
from support.torch_networks import (
    Network,
    augmix_wide_resnet,
    bottleneck_resnet,
)

NAMES = models.MODELS.names()


def state_of(model, names):
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
        f"{names.of(layer.name)}.{suffixes.get(v.name, v.name)}": (
            np.transpose(v, layouts[len(v.shape)])
        )
        for layer in model.layers
        for v in layer.weights
    }


def names_of(name):
    return models.MODELS.get(name).torch_names[0]


def assert_equal_weights(model, other):
    for a, b in zip(model.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def model():
    return models.wide_resnet(10, 1, dropout=0.1)


@pytest.fixture
def state(model):
    return state_of(model, names_of("wide_resnet28_4"))


@pytest.mark.parametrize(
    "name, layers",
    [
        (
            "preact_resnet18",
            {
                "stem": "conv1",
                "stage1_block2_bn1": "layer1.1.bn1",
                "stage3_block1_shortcut": "layer3.0.shortcut.0",
                "logits": "linear",
            },
        ),
        (
            "wide_resnet28_4",
            {
                "final_bn": "bn1",
                "stage3_block1_shortcut": "layer3.0.shortcut.0",
            },
        ),
        (
            "wide_resnet40_2",
            {
                "stem": "conv1",
                "final_bn": "bn1",
                "stage2_block6_conv2": "block2.layer.5.conv2",
                "stage2_block1_shortcut": "block2.layer.0.conv_shortcut",
                "logits": "fc",
            },
        ),
        ("resnet20", {"stem_bn": "bn1", "logits": "linear"}),
        (
            "resnet50",
            {
                "stem_bn": "bn1",
                "stage4_block3_bn3": "layer4.2.bn3",
                "stage2_block1_shortcut": "layer2.0.downsample.0",
                "stage2_block1_shortcut_bn": "layer2.0.downsample.1",
                "logits": "fc",
            },
        ),
    ],
)
def test_names(name, layers):
    names = names_of(name)
    assert {layer: names.of(layer) for layer in layers} == layers
    assert names.of("dense_1") is None


def test_names_are_those_of_the_reference(state, golden):
    arrays = golden("tiny_wrn10_1.npz")
    assert set(state) == {k[3:] for k in arrays.files if k.startswith("w__")}


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_from_another_seed(name):
    def build(seed):
        return models.build(
            name, width=0.125, input_shape=(32, 32, 3), seed=seed
        )

    model, other = build(0), build(9)
    for names in models.MODELS.get(name).torch_names:
        models.load_torch_weights(other, state_of(model, names))
        assert_equal_weights(other, model)
        other = build(9)


def _in_parallel(state):
    tracked = {"layer1.0.bn1.num_batches_tracked": np.array(3)}
    return {f"module.{k}": v for k, v in (state | tracked).items()}


def _checkpoint(state):
    return {"epoch": 3, "state_dict": _in_parallel(state), "best_acc": 0.9}


def _inside_a_model(state):
    return {"model_state_dict": {f"module.model.{k}": state[k] for k in state}}


@pytest.mark.parametrize("wrap", [_in_parallel, _checkpoint, _inside_a_model])
def test_what_wrappers_add_is_dropped(model, state, wrap):
    other = models.wide_resnet(10, 1, seed=9)
    models.load_torch_weights(other, wrap(state))
    assert_equal_weights(other, model)


def test_a_model_that_was_saved_and_renamed(tmp_path):
    network = Network()
    images = images_like([2, 32, 32, 3])
    x = normalized(images)
    expected = augmix_wide_resnet(network, x, 1, 4, 4, 10, "convShortcut")
    built = models.augmix_wide_resnet(10, 1, name="mine", width=0.25)
    built.save(tmp_path / "mine.keras")
    model = keras.models.load_model(tmp_path / "mine.keras")
    models.load_torch_weights(model, network.state)
    np.testing.assert_allclose(model(images), expected, atol=1e-4)


# A normalisation inside the PyTorch model.


def _robustbench(state, mean, std):
    shape = (1, 3, 1, 1)
    return state | {
        "mu": np.reshape(mean, shape),
        "sigma": np.reshape(std, shape),
    }


def _sequential(state, mean, std):
    shape = (1, 3, 1, 1)
    return {f"model.{k}": v for k, v in state.items()} | {
        "normalize.mean": np.reshape(mean, shape).astype(np.float32),
        "normalize.std": np.reshape(std, shape).astype(np.float32),
    }


@pytest.mark.parametrize("wrap", [_robustbench, _sequential])
def test_the_normalisation_must_be_the_models_own(wrap):
    network = Network()
    bottleneck_resnet(network, np.zeros([1, 3, 32, 32]), (3, 4, 6, 3), 4, 10)

    def build(**constants):
        return models.resnet(
            50, width=1 / 16, num_classes=10, seed=1, **constants
        )

    model = build()
    mean, std = np.array(models.IMAGENET_MEAN), np.array(models.IMAGENET_STD)
    models.load_torch_weights(model, wrap(network.state, mean, std))
    np.testing.assert_array_equal(
        model.get_layer("logits").bias,
        network.state["fc.bias"].astype(np.float32),
    )
    before = build(mean=0.5, std=0.5)
    other = build(mean=0.5, std=0.5)
    for constants, message in (
        ((mean, std), r"\(0.485, 0.456, 0.406\).*mean \(0.5, 0.5, 0.5\)"),
        (([0.5] * 3, std), r"\(0.229, 0.224, 0.225\).*std \(0.5, 0.5, 0.5\)"),
        (([0.5] * 3, [0.5, 0.5, 0.501]), r"build it with std=\(0.5, 0.5, 0.5"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            models.load_torch_weights(other, wrap(network.state, *constants))
        assert "\n" not in str(error.value)
    assert_equal_weights(other, before)


# What does not fit.


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
    before = models.wide_resnet(10, 1, seed=9)
    spoil(state)
    with pytest.raises(UsageError, match=message) as error:
        models.load_torch_weights(other, state)
    assert "\n" not in str(error.value)
    assert_equal_weights(other, before)


@pytest.mark.parametrize(
    "name, message",
    [
        ("resnet56", "lack 'layer1.3.conv1.weight', which 'resnet56' needs"),
        ("preact_resnet18", "'conv1.weight' has shape"),
        ("wide_resnet28_4", "lack 'conv1.bias'"),
        ("resnet50", "'conv1.weight' has shape"),
    ],
)
def test_weights_of_another_network(golden, name, message):
    model = models.build(name)
    with pytest.raises(UsageError, match=message):
        models.load_torch_weights(model, golden("resnet20_weights.npz"))


@pytest.mark.parametrize("weights", [None, "resnet50.pth", [1.0]])
def test_weights_that_are_no_mapping(model, weights):
    with pytest.raises(UsageError, match=r"state_dict\(\)"):
        models.load_torch_weights(model, weights)


def test_models_that_are_not_registered_networks(state):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Flatten()(inputs)
    model = keras.Model(inputs, keras.layers.Dense(10, name="top")(x))
    with pytest.raises(UsageError, match=r"registered network.*layer 'top'"):
        models.load_torch_weights(model, state)
