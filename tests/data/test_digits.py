"""The built-in digits."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import noisymix_tf.data as data
from noisymix_tf.errors import UsageError


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


def test_contract(digits):
    assert digits.name == "digits"
    assert digits.num_classes == 10
    assert digits.class_names == tuple("0123456789")
    assert digits.image_shape == (32, 32, 3)
    assert digits.mean == digits.std == (0.5, 0.5, 0.5)
    assert not digits.flip
    assert digits.padding == 4
    assert len(digits.train) + len(digits.test) == 1797
    for split in (digits.train, digits.test):
        assert split.images.shape == (len(split), 32, 32, 3)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int32


def test_every_class_gives_a_fifth_to_the_test_set(digits):
    total = np.bincount(load_digits().target)
    test = np.bincount(digits.test.labels)
    np.testing.assert_array_equal(test, np.ceil(total / 5))


def test_each_digit_is_on_one_side_only(digits):
    def keys(split):
        return [image.tobytes() for image in split.images]

    train, test = keys(digits.train), keys(digits.test)
    assert not set(train) & set(test)
    assert len(set(train + test)) == 1797


def bicubic_matrix(source=8, target=32):
    """Interpolation weights of Keys' kernel (a = -1/2), rows sum to one."""
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    x = np.abs(centres[:, None] - np.arange(source))
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


def test_images_are_the_digits(digits):
    source = load_digits()
    zeros = source.images[source.target == 0] * 255 / 16
    weights = bicubic_matrix()
    expected = np.clip(np.rint(weights @ zeros @ weights.T), 0, 255)
    train = digits.train.images[digits.train.labels == 0]
    test = digits.test.images[digits.test.labels == 0]
    for actual, rest in (
        (test, expected[::5]),
        (train, np.delete(expected, np.s_[::5], axis=0)),
    ):
        # Float32 against float64: a half may round either way.
        assert np.abs(actual[..., 0] - rest).max() <= 1
        assert (actual == actual[..., :1]).all()
    assert train.min() == 0 and train.max() == 255


def test_examples(digits):
    part = data.load("digits", train_examples=200, test_examples=105)
    np.testing.assert_array_equal(np.bincount(part.train.labels), [20] * 10)
    np.testing.assert_array_equal(
        np.bincount(part.test.labels), [11] * 5 + [10] * 5
    )
    with pytest.raises(UsageError, match=f"only {len(digits.test)}"):
        data.load("digits", test_examples=2_000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_dir": "photos"}, "--data_dir=photos.*--dataset=folder"),
        ({"image_size": 64}, "--image_size=64: digits images are 32 x 32"),
    ],
)
def test_refuses_what_it_would_ignore(arguments, message):
    with pytest.raises(UsageError, match=message):
        data.load("digits", **arguments)
