"""The built-in digits."""

import numpy as np
from sklearn.datasets import load_digits

import noisymix_tf.data as data


def bicubic_matrix(source=8, target=32):
    """Interpolation weights of Keys' kernel (a = -1/2), rows sum to one."""
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    x = np.abs(centres[:, None] - np.arange(source))
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    weights = np.where(x < 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


def test_every_fifth_enlarged_digit_of_a_class_is_for_testing():
    digits = data.load("digits", preprocess="as_stored", image_size=32)
    assert digits.name == "digits" and digits.num_classes == 10
    assert digits.class_names == tuple("0123456789")
    assert digits.image_shape == (32, 32, 3)
    assert digits.mean == digits.std == (0.5, 0.5, 0.5) and not digits.flip
    assert digits.padding == 4 and digits.train_crop == "pad"
    assert digits.test.images.dtype == np.uint8
    source = load_digits()
    weights = bicubic_matrix()
    for label in range(10):
        small = source.images[source.target == label] * 255 / 16
        expected = np.clip(np.rint(weights @ small @ weights.T), 0, 255)
        for split, wanted in (
            (digits.test, expected[::5]),
            (digits.train, np.delete(expected, np.s_[::5], axis=0)),
        ):
            actual = split.images[split.labels == label]
            # Float32 against float64: a half may round either way.
            assert np.abs(actual[..., 0] - wanted).max() <= 1
            assert (actual == actual[..., :1]).all()
