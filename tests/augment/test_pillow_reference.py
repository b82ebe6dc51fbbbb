"""The Pillow AugMix against golden chains and the laws of its draws."""

import json

import numpy as np
import pytest

pytest.importorskip("PIL")
from noisymix_tf.augment import pillow_reference as reference


def chains_of(spec):
    """Chains of `(name, parameter)` pairs from golden `op__param` names."""
    from test_augment_ops import split_key

    return [[split_key(key) for key in chain] for chain in spec["chains"]]


def test_golden_chains(golden):
    cases = golden("augmix_fixed_chains.npz")
    for index, spec in enumerate(json.loads(str(cases["spec_json"]))):
        mixed = reference.mix(
            cases["input"][index],
            chains_of(spec),
            cases["weights"][index],
            cases["m"][index],
        )
        np.testing.assert_allclose(
            (mixed / 255 - 0.5) / 0.5,
            cases["output_norm05"][index],
            rtol=0,
            atol=2e-6,
        )


def test_laws_of_the_draws():
    generator = np.random.default_rng(0)
    chains = [reference.draw_chain(generator, (32, 32)) for _ in range(6000)]
    depths = np.bincount([len(chain) for chain in chains], minlength=4)[1:]
    assert np.all(np.abs(depths - 2000) < 4 * np.sqrt(6000 * 2 / 9))
    steps = [step for chain in chains for step in chain]
    for name in reference.OPERATIONS:
        share = np.mean([each == name for each, _ in steps])
        sigma = np.sqrt(8 / 81 / len(steps))
        assert abs(share - 1 / 9) < 4 * sigma
    shears = np.array([v for name, v in steps if name.startswith("shear")])
    assert 0.003 <= np.abs(shears).min() and np.abs(shears).max() < 0.09
    assert abs(np.mean(shears < 0) - 0.5) < 4 * 0.5 / np.sqrt(len(shears))


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
    views = reference.augmix_views(image, np.random.default_rng(3))
    assert views.shape == (3, 12, 10, channels)
    assert views.dtype == np.float32
    np.testing.assert_array_equal(views[0], image)
    assert not np.allclose(views[1], views[2])
    again = reference.augmix_views(image, np.random.default_rng(3))
    np.testing.assert_array_equal(views, again)


def test_depth_and_width():
    chain = reference.draw_chain(np.random.default_rng(4), (32, 32), depth=7)
    assert len(chain) == 7
    image = np.full([4, 4, 3], 9, np.uint8)
    one = reference.augmix(image, np.random.default_rng(5), width=1)
    assert one.shape == image.shape
