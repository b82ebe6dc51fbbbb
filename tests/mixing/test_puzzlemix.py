"""PuzzleMix's plans: masks, shares, transport and perturbations."""

import types

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.mixing import PuzzleMix
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


def _block_shares(clean, grid):
    """Each block's share of the norms of an image's gradients."""
    gradient = clean.gradient(None).numpy()
    norm = np.sqrt((gradient**2).mean(-1))
    size = SIDE // grid
    blocks = norm.reshape(B, grid, size, grid, size).mean((2, 4))
    return blocks / blocks.sum((1, 2), keepdims=True)


def test_images_are_mixed_pixel_by_pixel_and_no_visible_block_is_lost(clean):
    """Alike in every view; `lam` is the mask's mean."""
    mixing = PuzzleMix(transport_size=1, transport_eps=0.1)
    views = np.random.default_rng(1).random((2, B, SIDE, SIDE, 3))
    views = views.astype("float32")
    levels, moved = set(), 0
    for step in range(8):
        plan = _settled(mixing, clean, step)[1]
        mixed = mixing.mix(tf.constant(views), plan).numpy()
        mask = plan.mask.numpy().reshape(B, -1)
        own, partner = plan.own.numpy(), plan.partner.numpy()
        expected = np.empty([2, B, SIDE**2, 3], np.float32)
        flat = views.reshape(expected.shape)
        for b in range(B):
            share = mask[b, :, None]
            other = flat[:, plan.permutation[b]][:, partner[b]]
            expected[:, b] = share * flat[:, b, own[b]] + (1 - share) * other
            for pixels, visible in (
                (own[b], mask[b] > 0),
                (partner[b], mask[b] < 1),
            ):
                shown = pixels[visible]
                assert len(set(shown)) == len(shown)
                moved += (shown != np.arange(SIDE**2)[visible]).sum()
        np.testing.assert_allclose(
            mixed.reshape(expected.shape), expected, atol=1e-6
        )
        np.testing.assert_allclose(plan.lam, mask.mean(1), atol=1e-6)
        levels |= set(mask.ravel())
    assert levels == {0.0, 0.5, 1.0}
    assert moved > 0


def test_without_seams_and_prior_the_more_salient_block_is_shown(clean):
    mixing = PuzzleMix(beta=0.0, eta=0.0, transport=False)
    grids = set()
    for step in range(8):
        plan = _settled(mixing, clean, step)[1]
        grid = (2, 4)[int(plan.chances[0] * 2)]
        own = _block_shares(clean, grid)
        shown = own > own[plan.permutation.numpy()]
        expected = shown.repeat(SIDE // grid, 1).repeat(SIDE // grid, 2)
        is_other = plan.permutation.numpy() != np.arange(B)
        np.testing.assert_array_equal(
            plan.mask.numpy()[is_other], expected[is_other]
        )
        assert plan.own is None
        grids.add(grid)
    assert grids == {2, 4}


def test_with_a_heavy_prior_every_block_has_the_likeliest_level(clean):
    mixing = PuzzleMix(beta=0.0, eta=1e4, transport=False)
    levels = set()
    for step in range(12):
        drawn, plan = _settled(mixing, clean, step)
        # Of two coins that show the image with probability lam.
        lam = float(drawn.lam)
        likeliest = 0.5 * ((lam > 1 / 3) + (lam > 2 / 3))
        np.testing.assert_array_equal(plan.mask, np.full((B, 4, 4), likeliest))
        levels.add(likeliest)
    assert levels == {0.0, 0.5, 1.0}


@pytest.mark.parametrize(
    ("alpha", "probability"), [(0.0, 1.0), (1.0, 0.0)], ids=str
)
def test_steps_that_do_not_mix_change_nothing(clean, alpha, probability):
    mixing = PuzzleMix(probability, adversarial_probability=1.0)
    plan = _settled(mixing, clean, 0, alpha)[1]
    x = tf.random.stateless_normal([2, B, SIDE, SIDE, 3], [0, 1])
    np.testing.assert_array_equal(mixing.mix(x, plan), x)
    np.testing.assert_array_equal(plan.lam, np.ones(B))


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
    eps = 10.0
    mixing = PuzzleMix(
        transport=False, adversarial_probability=0.5, adversarial_eps=eps
    )
    features = clean.features(clean.images)
    views = tf.stack([features, features])
    sign = np.sign(clean.gradient(None).numpy())
    attacked = set()
    for step in range(16):
        plan = _settled(mixing, clean, step)[1]
        mixed = mixing.mix(views, plan).numpy()
        amount = float(plan.chances[3])
        own, partner = (bool(c < 0.5) for c in plan.chances[1:3])
        attacked.add((own, partner))
        # In pixels.
        attack = plan.attack.numpy() * 50.0
        assert abs(attack).max() <= amount * eps + 1e-3
        perturbed = clean.images + attack
        assert perturbed.numpy().min() >= -1e-3
        assert perturbed.numpy().max() <= 255 + 1e-3
        if own or partner:
            inside = (perturbed > 1e-2) & (perturbed < 255 - 1e-2)
            inside &= amount > 0.01
            np.testing.assert_array_equal(np.sign(attack)[inside], sign[inside])
            # A step of eps + 2 from anywhere in the ball.
            assert (abs(attack[inside]) >= 2 * amount - 1e-3).all()
        mask = plan.mask.numpy()[..., None]
        expected = mask * attack * own
        expected += (1 - mask) * attack[plan.permutation.numpy()] * partner
        np.testing.assert_allclose(
            (mixed[0] - mixed[1]) * 50.0, expected, atol=1e-3
        )
    assert {(False, True), (True, False)} <= attacked


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"labels": 5}, "labels=5 must be 2, 3 or 4"),
        ({"beta": -1.0}, "beta=-1.0 must be a number"),
        ({"gamma": 1.5}, "gamma=1.5 must be a number in [0, 1]"),
        ({"neigh_size": 0}, "neigh_size=0 must be a whole number"),
        ({"transport_size": 0}, "pixels, at least 1 (or -1)"),
        ({"adversarial_eps": 300}, "adversarial_eps=300 must be"),
        ({"adversarial_eps": 10 / 255}, "give 10."),
        ({"adversarial_probability": "no"}, "adversarial_probability='no'"),
    ],
)
def test_bad_options_name_the_value(options, words):
    assert_usage_error(lambda: PuzzleMix(**options), words)


def test_what_is_no_image_is_refused(clean):
    assert_usage_error(lambda: PuzzleMix().check((7,)), "images [H, W, C]")
    assert_usage_error(
        lambda: PuzzleMix().check((28, 27, 1)),
        "have 28 x 27 pixels",
        "even sides",
    )
    PuzzleMix().check((28, 28, 1))
    deep = types.SimpleNamespace(**vars(clean))
    deep.features = lambda images: images[..., :1]
    assert_usage_error(
        lambda: _settled(PuzzleMix(), deep, 0), "first tap has shape [4, 4, 1]"
    )
