"""The search for the worst image in a ball: pure functions of tensors.

An attack is a measurement: unlike the samplers of `rng`, its own draw the same
numbers with and without XLA.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from noisymix_tf import rng
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.registry import Registry

BALLS = Registry("norm")
LOSSES = Registry("loss")
PIXEL_MAX = 255.0
_ADVICE = "attack one of floats and operations that can be differentiated"


class Ball(NamedTuple):
    """What an attack needs to know about a norm: its ball around zero.

    Perturbations are float32 `[B, H, W, C]`, each image on its own; radii are
    in the units of the pixels.

    Attributes:
        direction: `direction(gradient)`: the perturbation of size one along
            which a linear function with this gradient grows most; zero where
            the gradient is zero.
        project: `project(perturbation, eps)`: the nearest one of size `eps`.
        draw: `draw(key, shape, eps)`: one perturbation of `shape` `[H, W, C]`,
            uniform in the ball; `key` is int `[2]`.
        span: `span(size)`: the largest distance of two images of `size` pixel
            values in [0, 1].
    """

    direction: Callable
    project: Callable
    draw: Callable
    span: Callable


def _uniform(key, shape):
    """Uniform numbers in (0, 1), float32.

    Made of whole numbers: TensorFlow's floats of one key depend on XLA.
    """
    bits = tf.random.stateless_uniform(
        shape, key, minval=None, maxval=None, dtype=tf.uint32, alg=rng.GENERATOR
    )
    top = tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32))
    return (tf.cast(top, tf.float32) + 0.5) * 2.0**-23


def _clip(perturbation, eps):
    return tf.clip_by_value(perturbation, -eps, eps)


def _draw_in_cube(key, shape, eps):
    return eps * (2.0 * _uniform(key, shape) - 1.0)


def _unit(gradient):
    # Divided by its largest value first: squares of tiny or of huge gradients
    # leave the range of float32.
    largest = tf.reduce_max(tf.abs(gradient), axis=[1, 2, 3], keepdims=True)
    scaled = tf.math.divide_no_nan(gradient, largest)
    return tf.math.divide_no_nan(scaled, _length(scaled))


def _shrink(perturbation, eps):
    length = _length(perturbation)
    ratio = tf.math.divide_no_nan(eps, length)
    return tf.where(length <= eps, perturbation, perturbation * ratio)


def _draw_in_sphere(key, shape, eps):
    keys = tf.unstack(tf.random.split(key, 2, alg=rng.GENERATOR))
    normal = tf.math.ndtri(_uniform(keys[0], shape))
    size = tf.cast(tf.size(normal), tf.float32)
    # The share of a ball's volume within radius r grows as r**size.
    radius = _uniform(keys[1], []) ** (1.0 / size)
    return eps * radius * _unit(normal[None])[0]


def _length(x):
    return tf.sqrt(tf.reduce_sum(x * x, axis=[1, 2, 3], keepdims=True))


BALLS.register("linf")(
    Ball(lambda x: tf.sign(x), _clip, _draw_in_cube, lambda size: 1.0)
)
BALLS.register("l2")(
    Ball(_unit, _shrink, _draw_in_sphere, lambda size: size**0.5)
)


@LOSSES.register("cross_entropy")
def cross_entropy(scores, labels) -> "tf.Tensor":
    """`-log p` of the right class, as everyone computes it in float32.

    Published numbers are made with it. Once `p` rounds to one, at about 17 nats
    of margin, its gradient points elsewhere, and the model looks more robust
    than it is. Of scores float32 `[B, K]`, K at least 2, and labels int `[B]`
    it is float32 `[B]`, as every loss.
    """
    return -tf.gather(tf.nn.log_softmax(scores), labels, batch_dims=1)


@LOSSES.register("log_odds")
def log_odds(scores, labels) -> "tf.Tensor":
    """`log((1 - p) / p)` of the right class, without cancellation.

    The cross-entropy is its softplus, so that both grow together and their
    gradients point the same way. This one neither rounds nor vanishes,
    however sure the model is.
    """
    right = tf.one_hot(labels, scores.shape[-1], on_value=True, off_value=False)
    wrong = tf.reduce_logsumexp(tf.where(right, -float("inf"), scores), axis=-1)
    return wrong - tf.gather(scores, labels, batch_dims=1)


class Budget(NamedTuple):
    """How far and how long to search; scalars, Python numbers or tensors."""

    eps: float  # Radius of the ball, in grey levels.
    step_size: float  # Length of a step, in grey levels.
    steps: int
    restarts: int = 1  # Number of searches, each from a start of its own.
    seed: int = 0  # Of the random starts.

    @classmethod
    def of_shares(cls, eps, step_size, *numbers) -> "Budget":
        """One of tensors, which trace once, from shares of pixels' range."""
        levels = np.float32([PIXEL_MAX * eps, PIXEL_MAX * step_size])
        return cls(*map(tf.constant, [*levels, *np.int32(numbers)]))


def search(
    score, images, labels, indices, budget, *, ball, loss, random_start
) -> "tf.Tensor":
    """Looks in a ball around each image for the one with the highest loss.

    Args:
        score: Function from float32 images 0..255 to scores `[B, K]`: logits,
            or log-probabilities; one image's independent of the others'.
        images, labels: float32 `[B, H, W, C]`, 0..255, and int32 `[B]`.
        indices: int32 `[B]`, each image's place in its dataset.
        budget, ball, loss: A `Budget`, and entries of `BALLS` and `LOSSES`.
        random_start: Whether to start at a random place in the ball, a
            function of (seed, restart, index).

    Returns:
        float32 `[B, H, W, C]`, 0..255 and in the ball: where the last step of
        the only search ended; of several searches, for each image a
        misclassified end before others, then the one of the highest loss.

    Raises:
        UsageError: The scores have no gradient in the pixels.
    """
    eps = tf.cast(budget.eps, tf.float32)
    step_size = tf.cast(budget.step_size, tf.float32)
    steps, restarts, seed = (
        value if isinstance(value, int) else tf.cast(value, tf.int32)
        for value in budget[2:]
    )

    def step(count, place):
        gradient, _ = ascent(loss, score, place, labels)
        place += step_size * ball.direction(gradient)
        # The image lies in 0..255, so that clipping leads nearer to it.
        place = images + ball.project(place - images, eps)
        return count + 1, tf.clip_by_value(place, 0.0, PIXEL_MAX)

    def climb(restart):
        start = images
        if random_start:
            start = _started(ball, images, indices, eps, seed, restart)
        if isinstance(steps, int) and steps == 1:
            return step(0, start)[1]
        return tf.while_loop(lambda i, _: i < steps, step, (0, start))[1]

    if isinstance(restarts, int) and restarts == 1:
        return climb(0)
    return _worst(climb, restarts, score, loss, images, labels)


def _started(ball, images, indices, eps, seed, restart):
    """Random places in the balls around images."""
    shape = images.shape[1:]
    noise = tf.map_fn(
        lambda index: ball.draw(
            rng.stream(seed, restart, "attack", index), shape, eps
        ),
        indices,
        fn_output_signature=tf.TensorSpec(shape, tf.float32),
    )
    return tf.clip_by_value(images + noise, 0.0, PIXEL_MAX)


def _worst(climb, restarts, score, loss, images, labels):
    """For each image the worst end of several searches."""

    def again(restart, best, best_loss, best_missed):
        found = climb(restart)
        scores = score(found)
        value = loss(scores, labels)
        classes = tf.argmax(scores, axis=-1, output_type=labels.dtype)
        missed = classes != labels
        worse = tf.where(missed == best_missed, value > best_loss, missed)
        pick = worse | (restart == 0)
        return (
            restart + 1,
            tf.where(pick[:, None, None, None], found, best),
            tf.where(pick, value, best_loss),
            tf.where(pick, missed, best_missed),
        )

    nothing = tf.zeros_like(labels, tf.float32)
    best = 0, images, nothing, nothing > 0.0
    return tf.while_loop(lambda i, *_: i < restarts, again, best)[1]


def check_scores(outputs, advice) -> None:
    """Refuses what a model gives unless it is `[B, K]` of several classes."""
    shape = list(getattr(outputs, "shape", ()))
    if len(shape) != 2 or (shape[-1] or 0) < 2:
        raise UsageError(
            f"Attacks take a model with one output per class, [B, K] with K of "
            f"at least 2, this one gives {shape or type(outputs).__name__}: "
            f"{advice}."
        )


def ascent(loss, score, images, labels) -> tuple:
    """Gradient of a loss in the pixels, as `back_to_pixels` gives it."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        scores = score(images)
    with tf.GradientTape(watch_accessed_variables=False) as last:
        last.watch(scores)
        value = loss(scores, labels)
    return back_to_pixels(tape, scores, images, last.gradient(value, scores))


def back_to_pixels(tape, scores, images, slope, advice=_ADVICE) -> tuple:
    """Takes the slope of a loss in its scores `[B, K]` back to the images.

    Where the model is sure it is tiny, and would vanish on its way through
    layers in half precision. So what goes back is scaled to one for each image.
    Returns `(direction, scale)`, float32 `[B, H, W, C]` and `[B, 1, 1, 1]`,
    whose product is each image's gradient of its own loss.
    """
    scale = tf.reduce_max(tf.abs(slope), axis=-1, keepdims=True)
    direction = tape.gradient(
        scores, images, tf.math.divide_no_nan(slope, scale)
    )
    if direction is None:
        raise UsageError(
            f"The model has no gradient with respect to its pixels: {advice}."
        )
    return direction, scale[:, :, None, None]
