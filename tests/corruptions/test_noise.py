"""Noise against closed forms."""

import numpy as np

from noisymix_tf import corruptions


def test_impulse_noise_is_black_or_white_in_equal_parts():
    images = np.full([40, 32, 32, 3], 100, np.uint8)
    noisy = corruptions.corrupt(images, "impulse_noise", 5)
    assert set(np.unique(noisy)) == {0, 100, 255}
    for value in (0, 255):
        share, wanted = (noisy == value).mean(), 0.07 / 2
        assert abs(share - wanted) < 4 * np.sqrt(wanted / noisy.size)


def test_gaussian_noise_moments():
    images = np.full([40, 32, 32, 3], 128, np.uint8)
    noisy = corruptions.corrupt(images, "gaussian_noise", 1).astype(float)
    deviation = 0.04 * 255
    # Truncation subtracts half a level on average, and adds 1/12 of variance.
    sigma = deviation / np.sqrt(noisy.size)
    assert abs(noisy.mean() - 127.5) < 4 * sigma
    wanted = np.sqrt(deviation**2 + 1 / 12)
    assert abs(noisy.std() - wanted) < 4 * sigma / np.sqrt(2)


def test_noise_of_neighbours_channels_and_images_is_independent():
    images = np.full([40, 32, 32, 3], 128, np.uint8)
    noise = corruptions.corrupt(images, "gaussian_noise", 5).astype(float)
    noise = (noise - noise.mean()) / noise.std()
    pairs = (
        (noise[:, 1:], noise[:, :-1]),
        (noise[:, :, 1:], noise[:, :, :-1]),
        (noise[..., 1:], noise[..., :-1]),
        (noise[1:], noise[:-1]),
    )
    for one, other in pairs:
        assert abs((one * other).mean()) < 4 / np.sqrt(one.size)
