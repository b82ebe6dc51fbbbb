"""PuzzleMix: costs, labels of grids, transport, and what it makes of them."""

import itertools
import types

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from noisymix_tf import rng
from noisymix_tf.mixing import PuzzleMix, grid_labels, puzzle_costs, transport
from support.usage import assert_usage_error as refused

BETA, GAMMA, ETA, LAM = 1.2, 0.5, 0.2, 0.3
PERMUTATION = np.array([2, 0, 1])
GENERATOR = np.random.default_rng(0)
SALIENCY = GENERATOR.gamma(0.5, size=(3, 8, 12)).astype("float32")
PIXELS = GENERATOR.random((3, 8, 12, 2), "f")


def _costs(grid, labels, neigh_size=4):
    options = {"labels": labels, "neigh_size": neigh_size}
    options = PuzzleMix(beta=BETA, gamma=GAMMA, eta=ETA, **options)
    arguments = SALIENCY, PIXELS, PERMUTATION, np.float32(LAM)
    return puzzle_costs.costs(options, grid, *map(tf.constant, arguments))


def _problem_energy(labels, unary, vertical, horizontal):
    level = labels / (unary.shape[-1] - 1)
    own = np.take_along_axis(np.array(unary), labels[..., None], -1)[..., 0]
    down = vertical * np.diff(level, axis=1) ** 2
    across = horizontal * np.diff(level, axis=2) ** 2
    return sum(np.sum(part, axis=(1, 2)) for part in (own, down, across))


def _seams(mask, pixels, grid, side):
    """What the borders between blocks and those below them cost."""
    height, width = (size // grid for size in pixels[0].shape[:2])
    for i, j in itertools.product(range(grid - 1), range(grid)):
        above, below = mask[i, j], mask[i + 1, j]
        edge = (i + 1) * height
        # Mean difference of the patches above and below the border.
        terms = []
        for column in range(j * width, (j + 1) * width, side):
            patch = slice(column, column + side)
            a = pixels[above][edge - side : edge, patch].mean((0, 1))
            b = pixels[below][edge : edge + side, patch].mean((0, 1))
            terms.append(abs(a - b).mean())
        yield BETA / grid / 16 * ((above != below) + GAMMA * np.mean(terms))


def _energy(mask, saliency, pixels, labels, grid, side):
    """Of a mask of blocks, own (1) or not (0), for pairs: partner and own."""
    blocks = saliency.reshape(2, grid, 8 // grid, grid, -1).mean((2, 4))
    hidden = blocks / blocks.sum((1, 2), keepdims=True)
    total = sum(_seams(mask, pixels, grid, side))
    total += sum(_seams(mask.T, pixels.swapaxes(1, 2), grid, side))
    for i, j in itertools.product(range(grid), range(grid)):
        total += hidden[1 - mask[i, j]][i, j]
        share = LAM if mask[i, j] else 1 - LAM
        total -= ETA / grid**2 * np.log(share ** (labels - 1) + 1e-8)
    return total


@pytest.mark.parametrize("sizes", [(2, 2, 4, 2), (4, 3, 1, 1)])
def test_energies_are_those_of_the_definition(sizes):
    """Up to what is the same for every mask of a pair."""
    grid, labels, neigh_size, side = sizes
    problem = _costs(grid, labels, neigh_size)
    masks = np.random.default_rng(1).integers(0, 2, (6, grid, grid))
    masks[0], masks[1] = 0, 1
    ours, theirs = [], []
    for mask in masks:
        chosen = np.tile(mask * (labels - 1), [3, 1, 1])
        ours.append(_problem_energy(chosen, *problem))
        for pair in np.stack([PERMUTATION, range(3)], 1):
            images = SALIENCY[pair], PIXELS[pair]
            theirs.append(_energy(mask, *images, labels, grid, side))
    ours, theirs = np.array(ours), np.reshape(theirs, [6, 3])
    assert_allclose(ours - ours[0], theirs - theirs[0], atol=2e-6, rtol=1e-5)


def test_parts_of_costs():
    """Levels between share what they hide and have their prior."""
    prior = np.array([(1 - LAM) ** 2, 2 * LAM * (1 - LAM), LAM**2])
    bare = _costs(2, 3)[0].numpy() + ETA / 4 * np.log(prior + 1e-8)
    assert_allclose(bare[..., 1], (bare[..., 0] + bare[..., 2]) / 2, rtol=1e-5)
    # Images without saliency count alike everywhere.
    shares = puzzle_costs.shares(tf.zeros([2, 4, 8]), 2, 4)
    assert_array_equal(shares, np.full((2, 2, 4), 1 / 8))
    # Sides of patches divide blocks.
    sizes = (16, 16, 4), (14, 14, 4), (2, 2, 4), (6, 4, 4), (7, 3, 9)
    assert [puzzle_costs.divisor(*size) for size in sizes] == [4, 2, 2, 2, 1]


@pytest.mark.parametrize("labels, rows, columns", [(2, 3, 3), (3, 2, 4)])
def test_energies_are_nearly_the_least_of_all(labels, rows, columns):
    solve = tf.function(grid_labels.solve, jit_compile=True)
    every = itertools.product(range(labels), repeat=rows * columns)
    every = np.array(list(every)).reshape(-1, rows, columns)
    lost, count = [], len(every)
    for seed, scale in enumerate((0.0, 0.3, 1.0, 3.0, 100.0)):
        random = np.random.default_rng(seed).random
        edges = (40, rows - 1, columns), (40, rows, columns - 1)
        problem = [random((40, rows, columns, labels), "f")]
        problem += [random(e, "f") * np.float32(scale) for e in edges]
        found = _problem_energy(solve(*problem, sweeps=20).numpy(), *problem)
        problem = (np.repeat(part, count, axis=0) for part in problem)
        energies = _problem_energy(np.tile(every, [40, 1, 1]), *problem)
        lost.append(found / energies.reshape(40, -1).min(1) - 1.0)
    # Edges of no weight leave each node its own best.
    assert np.abs(lost[0]).max() < 1e-5
    lost = np.concatenate(lost)
    assert lost.mean() < 1e-3 and lost.max() < 0.05
    assert np.mean(lost < 1e-5) > 0.95


def _published(saliency, visible, eps):
    """Plans `[B, source, place]`; who was turned away pays one more there."""
    size = saliency.shape[-1]
    count = size * size
    row, column = np.divmod(np.arange(count), size)
    way = (row[:, None] - row) ** 2 + (column[:, None] - column) ** 2
    gain = saliency.reshape(-1, count, 1) * visible.reshape(-1, 1, count)
    cost = eps * way / (size - 1) ** 2 - gain
    for _ in range(size):
        asked = np.zeros_like(cost)
        np.put_along_axis(asked, cost.argmin(-1)[..., None], 1.0, -1)
        best = (asked * cost).argmin(-2)
        won = np.zeros_like(cost)
        np.put_along_axis(won, best[:, None], 1.0, -2)
        won *= asked
        cost = cost + (1 - won) * asked
    return won


@pytest.mark.parametrize("size, eps", [(2, 0.05), (6, 0.8)])
def test_what_is_seen_comes_from_where_it_is_published_to(size, eps):
    sources = tf.function(transport.sources, jit_compile=True)
    generator, moved = np.random.default_rng(0), 0
    for concentration in (0.1, 1.0):
        saliency = generator.gamma(concentration, size=(20, size, size)) + 1e-5
        saliency /= saliency.sum((1, 2), keepdims=True)
        visible = generator.random((20, size, size)) < 0.6
        plan = _published(saliency, visible, eps)
        ours = sources(saliency.astype("float32"), visible, eps).numpy()
        ours, seen = ours.reshape(20, -1), visible.reshape(20, -1)
        # Every visible place has got one block.
        assert_array_equal(plan.sum(-2)[seen], 1)
        assert_array_equal(ours[seen], plan.argmax(-2)[seen])
        moved += (ours != np.arange(size * size))[seen].sum()
    assert moved > 5


def test_blocks_become_pixels():
    """On an image of other sides: blocks of 2 x 3 pixels, 2 down, 3 across."""
    blocks = tf.constant([[[4, 1, 2], [3, 0, 5]], [[0, 1, 2], [3, 4, 5]]])
    image = np.arange(2 * 2 * 4 * 9).reshape(2, 2, 4, 9, 1)
    pixels = transport.pixel_sources(blocks, 4, 9)
    moved = transport.moved(tf.constant(image), pixels).numpy()
    expected = image.copy()
    expected[:, 0, :2, :3] = image[:, 0, 2:, 3:6]
    expected[:, 0, 2:, 3:6] = image[:, 0, :2, :3]
    assert_array_equal(moved, expected)


B, SIDE, SHAPE = 6, 4, (6, 4, 4, 3)
# Gradients of any size and sign.
SLOPE = tf.constant(GENERATOR.normal(size=SHAPE), tf.float32)
CLEAN = types.SimpleNamespace(
    images=tf.constant(GENERATOR.uniform(0, 255, SHAPE), tf.float32),
    features=lambda images: images / 50.0 - 1.0,
    gradient=lambda features: SLOPE,
    seed=rng.stream(0, 0, "saliency"),
)


def _settled(mixing, step=0, clean=CLEAN):
    mixing = mixing.bind(1, 1.0)
    plan = mixing.plan(rng.stream(3, step, "mixing"), B)
    return plan, mixing.settle(plan, clean)


@pytest.mark.slow
def test_plans_are_what_the_parts_find_and_mix_pixel_by_pixel():
    options = {"beta": 0.9, "gamma": 0.4, "eta": 0.1, "neigh_size": 1}
    options |= {"transport_size": 1, "transport_eps": 0.02}
    mixing = PuzzleMix(labels=4, **options)
    norm = tf.sqrt(tf.reduce_mean(SLOPE**2, -1))
    share = puzzle_costs.shares(norm, SIDE, SIDE)
    views = np.random.default_rng(1).random((2, B, SIDE, SIDE, 3), "f")
    flat = views.reshape(2, B, -1, 3)
    solve = tf.function(grid_labels.solve)
    grids, moved = set(), False
    for step in range(8):
        drawn, plan = _settled(mixing, step)
        grid, order = (2, 4)[int(plan.chances[0] * 2)], plan.permutation
        moved |= (plan.own.numpy() != np.arange(SIDE**2)).any()
        if grid in grids:
            continue
        grids.add(grid)
        pair = norm, CLEAN.images / 255.0, order, drawn.lam
        labels = solve(*puzzle_costs.costs(mixing, grid, *pair), sweeps=20)
        labels = labels.numpy().repeat(SIDE // grid, 1).repeat(SIDE // grid, 2)
        assert_allclose(plan.mask, labels / 3, atol=1e-6)
        assert_allclose(plan.lam, labels.mean((1, 2)) / 3, atol=1e-6)
        images = (share, labels > 0), (tf.gather(share, order), labels < 3)
        blocks = [transport.sources(*part, 0.02) for part in images]
        pixels = [transport.pixel_sources(b, SIDE, SIDE) for b in blocks]
        assert_array_equal((plan.own, plan.partner), pixels)
        mixed = mixing.mix(tf.constant(views), plan).numpy()
        own, partner = (np.array(p)[None, ..., None] for p in pixels)
        own = np.take_along_axis(flat, own, 2)
        partner = np.take_along_axis(flat[:, order], partner, 2)
        weight = labels.reshape(B, -1, 1) / 3
        expected = weight * own + (1 - weight) * partner
        assert_allclose(mixed.reshape(flat.shape), expected, atol=1e-6)
    assert grids == {2, 4} and moved


@pytest.mark.slow
def test_perturbations_climb_the_gradient_in_steps_that_mix():
    mixing = PuzzleMix(0.0, adversarial_probability=1.0)
    plan = _settled(mixing)[1]
    x = tf.random.stateless_normal([2, B, SIDE, SIDE, 3], [0, 1])
    assert_array_equal(mixing.mix(x, plan), x)
    assert_array_equal(plan.lam, np.ones(B))
    mixing = PuzzleMix(transport=False, adversarial_probability=0.5)
    features, sign = CLEAN.features(CLEAN.images), np.sign(SLOPE.numpy())
    attacked = set()
    for step in range(12):
        plan = _settled(mixing, step)[1]
        mixed = mixing.mix(tf.stack([features, features]), plan).numpy()
        amount = float(plan.chances[3])
        own, partner = (bool(c < 0.5) for c in plan.chances[1:3])
        attacked.add((own, partner))
        attack = plan.attack.numpy() * 50.0  # In pixels.
        assert abs(attack).max() <= amount * 10.0 + 1e-3
        perturbed = CLEAN.images.numpy() + attack
        assert perturbed.min() >= -1e-3 and perturbed.max() <= 255 + 1e-3
        if own or partner:
            inside = (perturbed > 1e-2) & (perturbed < 255 - 1e-2)
            inside &= amount > 0.01
            assert_array_equal(np.sign(attack)[inside], sign[inside])
            # A step of eps + 2 from anywhere in the ball.
            assert (abs(attack[inside]) >= 2 * amount - 1e-3).all()
        mask, order = plan.mask.numpy()[..., None], plan.permutation.numpy()
        expected = mask * attack * own + (1 - mask) * attack[order] * partner
        assert_allclose((mixed[0] - mixed[1]) * 50.0, expected, atol=1e-3)
    assert {(False, True), (True, False)} <= attacked


def test_bad_options_and_what_is_no_image_are_refused():
    check = PuzzleMix().check
    refused(lambda: PuzzleMix(beta=-1.0), "beta=-1.0 must be from 0")
    refused(lambda: PuzzleMix(gamma=1.5), "gamma=1.5 must be in [0, 1]")
    refused(lambda: PuzzleMix(neigh_size=0), "neigh_size=0 must be at least 1")
    refused(lambda: PuzzleMix(transport_size=0), "size=0 must be -1 or at")
    refused(lambda: PuzzleMix(adversarial_eps=300), "eps=300 must be")
    refused(lambda: PuzzleMix(adversarial_eps=10 / 255), "give 10.")
    refused(lambda: check((28, 27, 1)), "28 x 27 pixels; give")
    check((28, 28, 1))
    deep = types.SimpleNamespace(**vars(CLEAN))
    deep.features, words = lambda x: x[..., :1], "first tap has shape [4, 4, 1]"
    refused(lambda: _settled(PuzzleMix(), clean=deep), words)
