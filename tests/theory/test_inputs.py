"""The theory on models and data of all kinds, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import noisymix_tf as nm
from noisymix_tf import theory
from noisymix_tf.theory import problems
from support import smooth_network
from support.smooth_network import K, network


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def examples():
    return smooth_network.examples()


@pytest.fixture(scope="module")
def separated():
    x, y = problems.clouds(30)
    return problems.piecewise_linear(x, y), x, y


def test_one_output_is_two_logits(examples):
    """A logit, a sigmoid, and two logits that differ by the logit."""
    x, y = examples[0], examples[1] % 2
    one, sigmoid = network(1), network(1, "sigmoid")
    two, softmaxed = network(2), network(2, "softmax")
    weights = one.get_weights()
    sigmoid.set_weights(weights)
    doubled = [*weights[:-2], *(np.insert(w, 0, 0, -1) for w in weights[-2:])]
    two.set_weights(doubled)
    softmaxed.set_weights(doubled)
    numbers = [
        list(vars(theory.regularizers(model, x, y)).values())
        for model in (one, sigmoid, two, softmaxed)
    ]
    np.testing.assert_allclose(numbers, [numbers[0]] * 4, rtol=1e-9)


def _with_norm_and_dropout(policy):
    layers = [
        keras.layers.Dense(4, "tanh", dtype=policy),
        keras.layers.BatchNormalization(dtype=policy),
        keras.layers.Dropout(0.5, dtype=policy),
        keras.layers.Dense(K, dtype=policy),
    ]
    return keras.Sequential([keras.Input([2]), *layers])


def test_a_copy_in_float64(examples):
    model = _with_norm_and_dropout("float32")
    copy = theory.in_float64(model)
    x, y = examples
    found = copy(x)
    assert found.dtype == tf.float64
    np.testing.assert_allclose(found, model(x.astype(np.float32)), atol=1e-6)
    assert theory.in_float64(copy) is copy
    # In inference: dropout does nothing; also inside the trainer.
    np.testing.assert_allclose(
        list(vars(theory.regularizers(copy, x, y)).values()),
        list(vars(theory.regularizers(nm.NoisyMix(model), x, y)).values()),
        rtol=1e-4,
        atol=1e-6,
    )


def test_half_precision_is_refused(examples):
    model = _with_norm_and_dropout("mixed_float16")
    with pytest.raises(nm.UsageError, match="computes in float16"):
        theory.regularizers(model, *examples)
    assert theory.regularizers(theory.in_float64(model), *examples).a2 > 0.0


def test_a_model_without_a_graph(examples, model):
    class Wrapped(keras.Model):
        def call(self, x):
            return model(x)

    found = theory.regularizers(Wrapped(dtype="float64"), *examples)
    assert found == theory.regularizers(model, *examples)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m, x, y: theory.regularizers(m, x, y + 1), "from 1 to 3"),
        (lambda m, x, y: theory.regularizers(m, x, y + 0.5), "whole numbers"),
        (lambda m, x, y: theory.regularizers(m, x, y[:3]), "y 3 labels"),
        (
            lambda m, x, y: theory.noisymix_loss(m, x, np.eye(3)[y] * 2, 0.1),
            "no distribution",
        ),
        (
            lambda m, x, y: theory.regularizers(m, x[:, :1], y),
            r"takes \[N, 2\]",
        ),
        (lambda m, x, y: theory.regularizers(m, x * np.nan, y), "not finite"),
        (lambda m, x, y: theory.regularizers(m, "x", y), "array of numbers"),
        (lambda m, x, y: theory.regularizers(None, x, y), "no Keras model"),
        (lambda m, x, y: theory.regularizers(m, x, y, tap=None), "one name"),
        (lambda m, x, y: theory.noisymix_loss(m, x, y, -0.1), "eps=-0.1 must"),
        (
            lambda m, x, y: theory.noisymix_loss(m, x, y, 0.1, additive=-1.0),
            "additive=-1.0 must be a number, at least 0",
        ),
        (lambda m, x, y: theory.mixup_losses(m, x, y, nodes=0), "nodes=0"),
        (
            lambda m, x, y: theory.coefficients(noise_per_view=()),
            r"noise_per_view=\(\) must",
        ),
        (lambda m, x, y: theory.coefficients(noise_sparsity=2), "0 to 1"),
        (
            lambda m, x, y: theory.regularizers(network(3, "sigmoid"), x, y),
            "yes or no answers",
        ),
        (lambda m, x, y: theory.regularizers(m, x[:0], y[:0]), "x is empty"),
        (lambda m, x, y: theory.regularizers(m, x, y[None, None]), "shape"),
        (lambda m, x, y: theory.regularizers(m, x, y, tap="last"), "'last'"),
        (lambda m, x, y: theory.mixup_losses(m, x, y, alpha=0), "alpha=0"),
        (lambda m, x, y: theory.stability(m, x, x), r"give \[V, 12, 2\]"),
        (
            lambda m, x, y: theory.stability(
                m, x, np.stack([x, x]), weights=(0.5, 0.6)
            ),
            "2 positive numbers",
        ),
        (lambda m, x, y: theory.adversarial_gap(m, x, y, 0.1), "3 classes"),
    ],
)
def test_mistakes(model, examples, call, words):
    with pytest.raises(nm.UsageError, match=words) as raised:
        call(model, *examples)
    assert "\n" not in str(raised.value)


def test_mistakes_about_the_attack(separated):
    model, x, y = separated
    with pytest.raises(nm.UsageError, match="mean of x is 1 away"):
        theory.adversarial_gap(model, x + 1.0, y, 0.1)
    with pytest.raises(nm.UsageError, match="30 of 30 examples"):
        theory.adversarial_gap(model, x, 1 - y, 0.1)
    with pytest.raises(nm.UsageError, match="without biases"):
        theory.adversarial_gap(network(2), x, y, 0.1)
