"""PuzzleMix's plans: masks, shares, transport and perturbations."""

import types

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import PuzzleMix

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


@pytest.fixture(scope="module")
def steps(clean):
    """Settled plans of several steps, and the mixing."""
    mixing = PuzzleMix(transport_size=1, transport_eps=0.1)
    return mixing, [_settled(mixing, clean, step)[1] for step in range(8)]


def test_mixed_images_are_made_pixel_by_pixel_alike_in_every_view(steps):
    mixing, plans = steps
    views = np.random.default_rng(1).random((2, B, SIDE, SIDE, 3))
    views = views.astype("float32")
    seen = set()
    for plan in plans:
        mixed = mixing.mix(tf.constant(views), plan).numpy()
        mask = plan.mask.numpy()
        expected = np.empty_like(mixed)
        for b in range(B):
            partner = views[:, plan.permutation[b]]
            for pixel in range(SIDE * SIDE):
                i, j = divmod(pixel, SIDE)
                a = divmod(int(plan.own[b, pixel]), SIDE)
                c = divmod(int(plan.partner[b, pixel]), SIDE)
                share = mask[b, i, j]
                expected[:, b, i, j] = (
                    share * views[:, b, a[0], a[1]]
                    + (1 - share) * partner[:, c[0], c[1]]
                )
        np.testing.assert_allclose(mixed, expected, atol=1e-6)
        np.testing.assert_allclose(plan.lam, mask.mean((1, 2)), atol=1e-6)
        seen |= set(mask.ravel())
    assert seen == {0.0, 0.5, 1.0}


def test_what_moves_keeps_every_visible_block_once(steps):
    moved = 0
    for plan in steps[1]:
        mask = plan.mask.numpy().reshape(B, -1)
        for sources, visible in (
            (plan.own.numpy(), mask > 0),
            (plan.partner.numpy(), mask < 1),
        ):
            for pixels, is_visible in zip(sources, visible):
                shown = pixels[is_visible]
                assert len(set(shown)) == len(shown)
                moved += (shown != np.arange(SIDE**2)[is_visible]).sum()
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
    "options", [{"alpha": 0.0}, {"probability": 0.0}], ids=str
)
def test_steps_that_do_not_mix_change_nothing(clean, options):
    mixing = PuzzleMix(options.get("probability", 1.0))
    plan = _settled(mixing, clean, 0, options.get("alpha", 1.0))[1]
    x = tf.random.stateless_normal([2, B, SIDE, SIDE, 3], [0, 1])
    np.testing.assert_array_equal(mixing.mix(x, plan), x)
    np.testing.assert_array_equal(plan.lam, np.ones(B))


def test_grids_are_drawn_alike(clean):
    mixing = PuzzleMix().bind(1, 1.0)
    images = types.SimpleNamespace(**vars(clean))
    images.images = tf.zeros([B, 16, 16, 1])
    images.gradient = lambda features: features
    mixing._arranged = lambda grid, saliency, *_: (
        {
            name: tf.cast(tf.fill(saliency.shape, grid), dtype)
            for name, dtype in (("mask", "float32"),)
        }
        | {
            name: tf.fill([saliency.shape[0], 256], grid)
            for name in ("own", "partner")
        }
    )

    @tf.function
    def grid(step):
        plan = mixing.plan(rng.stream(3, step, "mixing"), B)
        return mixing.settle(plan, images).mask[0, 0, 0]

    count = 400
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
    attacked = []
    for step in range(24):
        plan = _settled(mixing, clean, step)[1]
        mixed = mixing.mix(views, plan).numpy()
        amount = float(plan.chances[3])
        own, partner = (bool(c < 0.5) for c in plan.chances[1:3])
        attacked.append((own, partner))
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
    assert {(False, True), (True, False)} <= set(attacked)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 5}, "labels=5 must be 2, 3 or 4"),
        ({"beta": -1.0}, "beta=-1.0 must be a number"),
        ({"gamma": 1.5}, r"gamma=1.5 must be a number in \[0, 1\]"),
        ({"neigh_size": 0}, "neigh_size=0 must be a whole number"),
        ({"transport_size": 0}, r"transport_size=0 must .* \(or -1\)"),
        ({"adversarial_eps": 300}, r"adversarial_eps=300 must .*\[0, 255\]"),
        (
            {"adversarial_eps": 10 / 255},
            "must be in grey .* give 10\\.$",
        ),
        ({"adversarial_probability": "no"}, "adversarial_probability='no'"),
    ],
)
def test_bad_options_name_the_value(options, message):
    with pytest.raises(UsageError, match=message):
        PuzzleMix(**options)


def test_what_is_no_image_is_refused(clean):
    with pytest.raises(UsageError, match=r"images \[H, W, C\]"):
        PuzzleMix().check((7,))
    with pytest.raises(UsageError, match=r"have 28 x 27 pixels.*even sides"):
        PuzzleMix().check((28, 27, 1))
    PuzzleMix().check((28, 28, 1))
    deep = types.SimpleNamespace(**vars(clean))
    deep.features = lambda images: images[..., :1]
    with pytest.raises(UsageError, match=r"first tap has shape \[4, 4, 1\]"):
        _settled(PuzzleMix(), deep, 0)


def test_its_configuration_makes_the_same():
    options = {"labels": 2, "eta": 0.7, "transport_size": -1}
    config = PuzzleMix(0.5, **options).get_config()
    assert PuzzleMix.from_config(config).get_config() == config
    assert {name: config[name] for name in options} == options
