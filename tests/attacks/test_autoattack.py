"""AutoAttack on Keras models against the same package on PyTorch models."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.attacks.autoattack import auto_attack, torch_scores
from support.usage import assert_usage_error

SIZE, HIDDEN, CLASSES = 8, 16, 4
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, [16, SIZE, SIZE, 3]).astype(np.uint8)
FIRST = RNG.normal(size=[SIZE * SIZE * 3, HIDDEN]).astype("float32") * 0.2
LAST = RNG.normal(size=[HIDDEN, CLASSES]).astype("float32") * 0.3
L2, LINF = ("l2", "L2"), ("linf", "Linf")
CASES = ("apgd-ce", LINF, 4 / 255), ("apgd-t", L2, 0.15)
CASES += ("fab-t", LINF, 4 / 255), ("square", L2, 3.0)


def network(num_classes=CLASSES):
    dense = keras.layers.Dense(HIDDEN, "softplus", use_bias=False)
    head = keras.layers.Dense(num_classes, use_bias=False)
    normalize = keras.layers.Rescaling(1 / 127.5, offset=-1.0)
    layers = keras.Input([SIZE, SIZE, 3]), normalize, keras.layers.Flatten()
    model = keras.Sequential([*layers, dense, head])
    model.set_weights([FIRST, LAST[:, :num_classes]])
    return model


MODEL = network()
LABELS = MODEL(IMAGES.astype("float32")).numpy().argmax(-1)


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch
    torch.set_num_threads(threads)


def torch_images(torch):
    images = IMAGES.transpose(0, 3, 1, 2) / np.float32(255)
    return torch.tensor(np.ascontiguousarray(images))


def torch_network(torch):
    first, last = torch.tensor(FIRST), torch.tensor(LAST)

    def forward(images):
        pixels = 2 * images.permute(0, 2, 3, 1).flatten(1) - 1
        return torch.nn.functional.softplus(pixels @ first) @ last

    return forward


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_scores_and_gradients_are_those_of_tensorflow(torch, policy):
    """Also of steep slopes and of tiny ones, which float16 cannot hold."""
    keras.config.set_dtype_policy(policy)
    model = network()
    keras.config.set_dtype_policy("float32")
    bridge = torch_scores(torch, lambda x: tf.cast(model(x), tf.float32))

    def scores_and_gradients(network):
        images = torch_images(torch).requires_grad_()
        scores = network(images)
        yield scores.detach()
        for slope in (torch.ones(CLASSES), 1e-9 * torch.arange(CLASSES)):
            value = (scores * slope).sum()
            yield torch.autograd.grad(value, images, retain_graph=True)[0]

    tolerance = 1e-5 if policy == "float32" else 2e-2
    theirs = scores_and_gradients(torch_network(torch))
    for found, expected in zip(scores_and_gradients(bridge), theirs):
        error = (found - expected).abs().max()
        assert error <= tolerance * expected.abs().max()


@pytest.mark.parametrize("attack, norm, eps", CASES)
def test_it_finds_what_it_finds_on_a_torch_model(torch, attack, norm, eps):
    package = pytest.importorskip("pyautoattack")
    options = dict(norm=norm[0], seed=3, batch_size=10, attacks=[attack])
    found = auto_attack(MODEL, IMAGES, LABELS, eps, **options).numpy()
    options = dict(norm=norm[1], eps=eps, seed=3)
    search = package.AutoAttack(torch_network(torch), **options)
    search.attacks_to_run = [attack]
    for targeted in (search.apgd_targeted, search.fab):
        targeted.n_target_classes = CLASSES - 1
    given = torch_images(torch), torch.tensor(LABELS)
    expected, _ = search.run_standard_evaluation(*given, batch_size=10)
    expected = 255 * expected.numpy().transpose(0, 2, 3, 1)
    # Where a gradient is nearly zero its sign may differ.
    assert (np.abs(found - expected) < 0.01).mean() > 0.99
    ends = [MODEL(x).numpy().argmax(-1) == LABELS for x in (found, expected)]
    np.testing.assert_array_equal(*ends)
    right = ends[0]
    assert right.mean() < 0.8
    np.testing.assert_array_equal(found[right], IMAGES[right])


def test_seed_decides_and_the_process_stays_as_it_was(torch):
    pytest.importorskip("pyautoattack")

    def attack(seed, eps=0.3):
        options = dict(attacks=["square"], seed=seed)
        return auto_attack(MODEL, IMAGES, LABELS, eps, **options).numpy()

    state, threads = torch.get_rng_state(), torch.get_num_threads()
    tracer = sys.gettrace()
    sys.settrace(trace := lambda *_: None)
    first = attack(1)
    assert sys.gettrace() is trace
    sys.settrace(tracer)
    np.testing.assert_array_equal(first, attack(1))
    assert (first != attack(2)).any()
    np.testing.assert_array_equal(attack(1, eps=0), IMAGES)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_bad_input_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    options = dict(model=MODEL, images=IMAGES, labels=LABELS, eps=0.1)
    for change, words in (
        ({"version": "best"}, "Unknown version 'best'. Known: standard, plus"),
        ({"attacks": "square"}, "attacks='square' must be a list"),
        ({"attacks": ["fab"]}, "of version 'standard': apgd-ce, apgd-t"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"model": network(3), "labels": LABELS % 3}, "at least 4 classes"),
        ({}, 'package pyautoattack: pip install "noisymix_tf[autoattack]"'),
    ):
        given = options | change
        assert_usage_error(lambda given=given: auto_attack(**given), words)
