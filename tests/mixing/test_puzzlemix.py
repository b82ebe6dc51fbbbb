"""PuzzleMix's plans: masks, shares, transport and perturbations."""

import types

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import rng
from noisymix_tf.mixing import (
    PuzzleMix,
    grid_labels,
    puzzle_costs,
    transport,
)
from support.usage import assert_usage_error

B, SIDE = 6, 4


@pytest.fixture(scope="module")
def clean():
    """Pixels, a normalisation, and gradients of any size and sign."""
    generator = np.random.default_rng(0)
    gradient = generator.normal(size=(B, SIDE, SIDE, 3)).astype("float32")
    pixels = generator.uniform(0, 255, gradient.shape).astype("float32")
    return types.SimpleNamespace(
        images=tf.constant(pixels),
        features=lambda images: images / 50.0 - 1.0,
        gradient=lambda features: tf.constant(gradient),
        seed=rng.stream(0, 0, "saliency"),
    )


def _settled(mixing, clean, step, alpha=1.0):
    mixing = mixing.bind(1, alpha)
    plan = mixing.plan(rng.stream(3, step, "mixing"), B)
    return plan, mixing.settle(plan, clean)


def test_images_are_mixed_pixel_by_pixel_and_no_visible_block_is_lost(clean):
    """Alike in every view; `lam` is the mask's mean."""
    mixing = PuzzleMix(transport_size=1, transport_eps=0.1)
    views = np.random.default_rng(1).random((2, B, SIDE, SIDE, 3), "f")
    flat = views.reshape(2, B, -1, 3)
    levels, moved = set(), 0
    for step in range(8):
        plan = _settled(mixing, clean, step)[1]
        mixed = mixing.mix(tf.constant(views), plan).numpy()
        mask = plan.mask.numpy().reshape(B, -1)
        own, partner = plan.own.numpy(), plan.partner.numpy()
        for b in range(B):
            share = mask[b, :, None]
            other = flat[:, plan.permutation[b]][:, partner[b]]
            expected = share * flat[:, b, own[b]] + (1 - share) * other
            ours = mixed[:, b].reshape(expected.shape)
            assert_allclose(ours, expected, atol=1e-6)
            for pixels, part in ((own[b], mask[b]), (partner[b], 1 - mask[b])):
                shown = pixels[part > 0]
                assert len(set(shown)) == len(shown)
                moved += (shown != np.arange(SIDE**2)[part > 0]).sum()
        assert_allclose(plan.lam, mask.mean(1), atol=1e-6)
        levels |= set(mask.ravel())
    assert levels == {0.0, 0.5, 1.0} and moved > 0


def test_plans_are_what_the_parts_find_for_the_norms_of_gradients(clean):
    """With the options given, blocks of the drawn grid, and the step's lam."""
    costs = {
        "labels": 4,
        "beta": 0.9,
        "gamma": 0.4,
        "eta": 0.3,
        "neigh_size": 1,
    }
    mixing = PuzzleMix(transport_size=-1, transport_eps=0.3, **costs)
    norm = tf.sqrt(tf.reduce_mean(clean.gradient(None) ** 2, -1))
    pixels, grids = clean.images / 255.0, set()
    for step in range(4):
        drawn, plan = _settled(mixing, clean, step)
        grid, order = (2, 4)[int(plan.chances[0] * 2)], plan.permutation
        problem = puzzle_costs.costs(
            norm, pixels, order, drawn.lam, grid=grid, **costs
        )
        labels = grid_labels.solve(*problem, sweeps=20).numpy()
        size = SIDE // grid
        mask = labels.repeat(size, 1).repeat(size, 2) / 3
        assert_allclose(plan.mask, mask, atol=1e-6)
        share = puzzle_costs.shares(norm, grid, grid)
        for found, saliency, visible in (
            (plan.own, share, labels > 0),
            (plan.partner, tf.gather(share, order), labels < 3),
        ):
            blocks = transport.sources(saliency, tf.constant(visible), 0.3)
            expected = transport.pixel_sources(blocks, SIDE, SIDE)
            assert_array_equal(found, expected)
        grids.add(grid)
    assert grids == {2, 4}


@pytest.mark.parametrize("alpha, probability", [(0.0, 1.0), (1.0, 0.0)])
def test_steps_that_do_not_mix_change_nothing(clean, alpha, probability):
    mixing = PuzzleMix(probability, adversarial_probability=1.0)
    plan = _settled(mixing, clean, 0, alpha)[1]
    x = tf.random.stateless_normal([2, B, SIDE, SIDE, 3], [0, 1])
    assert_array_equal(mixing.mix(x, plan), x)
    assert_array_equal(plan.lam, np.ones(B))


def test_all_grids_that_divide_the_image_are_drawn_alike(clean):
    mixing = PuzzleMix(transport=False).bind(1, 1.0)
    images = types.SimpleNamespace(**vars(clean))
    images.images = tf.zeros([B, 16, 16, 1])
    images.gradient = lambda features: features
    # Which grid was chosen, not what is found for it.
    mixing._compiled = lambda grid: (
        lambda saliency, *_: {"mask": tf.fill(saliency.shape, float(grid))}
    )

    @tf.function
    def grid(step):
        plan = mixing.plan(rng.stream(3, step, "mixing"), B)
        return mixing.settle(plan, images).mask[0, 0, 0]

    count = 200
    drawn = [int(grid(tf.constant(step))) for step in range(count)]
    counts = np.array([drawn.count(size) for size in (2, 4, 8, 16)])
    assert counts.sum() == count
    # Chi-square with 3 degrees of freedom; 16.3 is its 0.999 quantile.
    assert ((counts - count / 4) ** 2 / (count / 4)).sum() < 16.3


def test_perturbations_climb_the_gradient_and_stay_in_their_ball(clean):
    options = {"adversarial_probability": 0.5, "adversarial_eps": 10.0}
    mixing = PuzzleMix(transport=False, **options)
    features = clean.features(clean.images)
    sign = np.sign(clean.gradient(None).numpy())
    attacked = set()
    for step in range(16):
        plan = _settled(mixing, clean, step)[1]
        mixed = mixing.mix(tf.stack([features, features]), plan).numpy()
        amount = float(plan.chances[3])
        own, partner = (bool(c < 0.5) for c in plan.chances[1:3])
        attacked.add((own, partner))
        # In pixels.
        attack = plan.attack.numpy() * 50.0
        assert abs(attack).max() <= amount * 10.0 + 1e-3
        perturbed = clean.images.numpy() + attack
        assert perturbed.min() >= -1e-3 and perturbed.max() <= 255 + 1e-3
        if own or partner:
            inside = (perturbed > 1e-2) & (perturbed < 255 - 1e-2)
            inside &= amount > 0.01
            assert_array_equal(np.sign(attack)[inside], sign[inside])
            # A step of eps + 2 from anywhere in the ball.
            assert (abs(attack[inside]) >= 2 * amount - 1e-3).all()
        mask = plan.mask.numpy()[..., None]
        expected = mask * attack * own
        expected += (1 - mask) * attack[plan.permutation.numpy()] * partner
        change = (mixed[0] - mixed[1]) * 50.0
        assert_allclose(change, expected, atol=1e-3)
    assert {(False, True), (True, False)} <= attacked


def _flat(clean):
    deep = types.SimpleNamespace(**vars(clean))
    deep.features = lambda images: images[..., :1]
    _settled(PuzzleMix(), deep, 0)


def _made(**options):
    return lambda clean: PuzzleMix(**options)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (_made(labels=5), "labels=5 must be 2, 3 or 4"),
        (_made(beta=-1.0), "beta=-1.0 must be a number"),
        (_made(gamma=1.5), "gamma=1.5 must be a number in [0, 1]"),
        (_made(neigh_size=0), "neigh_size=0 must be a whole number"),
        (_made(transport_size=0), "pixels, at least 1 (or -1)"),
        (_made(adversarial_eps=300), "adversarial_eps=300 must be"),
        (_made(adversarial_eps=10 / 255), "give 10."),
        (_made(adversarial_probability="no"), "adversarial_probability='no'"),
        (lambda clean: PuzzleMix().check((7,)), "images [H, W, C]"),
        (lambda clean: PuzzleMix().check((28, 27, 1)), "28 x 27 pixels; give"),
        (_flat, "first tap has shape [4, 4, 1]"),
    ],
)
def test_bad_options_and_what_is_no_image_are_refused(clean, call, words):
    assert_usage_error(lambda: call(clean), words)
    PuzzleMix().check((28, 28, 1))
