"""The Pillow AugMix against golden chains and the laws of its draws."""

import numpy as np
import pytest

from noisymix_tf.augment import pillow_reference as reference
from support.augmentation import assert_even_signs, assert_law, golden_chains


def test_golden_chains(golden):
    cases = golden("augmix_fixed_chains.npz")
    for image, chains, weights, m, expected in zip(
        cases["input"],
        golden_chains(cases),
        cases["weights"],
        cases["m"],
        cases["output_norm05"],
        strict=True,
    ):
        mixed = reference.mix(image, chains, weights, m)
        np.testing.assert_allclose(
            (mixed / 255 - 0.5) / 0.5, expected, rtol=0, atol=2e-6
        )


def test_laws_of_the_draws():
    generator = np.random.default_rng(0)
    chains = [reference.draw_chain(generator, (32, 32)) for _ in range(6000)]
    depths = np.array([len(chain) for chain in chains])
    assert_law(depths, dict.fromkeys((1, 2, 3), 1 / 3))
    steps = [step for chain in chains for step in chain]
    names = list(reference.OPERATIONS)
    drawn = np.array([names.index(name) for name, _ in steps])
    assert_law(drawn, dict.fromkeys(range(9), 1 / 9))
    shears = np.array([v for name, v in steps if name.startswith("shear")])
    assert 0.003 <= np.abs(shears).min() and np.abs(shears).max() < 0.09
    assert_even_signs(shears)


def test_extra_operations_only_on_request():
    def names(all_ops):
        chains = [
            reference.draw_chain(generator, (32, 32), all_ops=all_ops)
            for _ in range(400)
        ]
        return {name for chain in chains for name, _ in chain}

    generator = np.random.default_rng(1)
    assert names(False) == set(reference.OPERATIONS)
    assert names(True) == set(reference.ALL_OPERATIONS)


@pytest.mark.parametrize("channels", [1, 3])
def test_views(channels):
    generator = np.random.default_rng(2)
    image = generator.integers(0, 256, [12, 10, channels], np.uint8)
    views = reference.augmix_views(
        image, np.random.default_rng(3), width=1, depth=7
    )
    assert views.shape == (3, 12, 10, channels)
    assert views.dtype == np.float32
    np.testing.assert_array_equal(views[0], image)
    assert not np.allclose(views[1], views[2])
    chain = reference.draw_chain(np.random.default_rng(4), (32, 32), depth=7)
    assert len(chain) == 7
