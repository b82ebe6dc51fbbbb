"""The search for the worst image in a ball: projected gradient ascent.

Pure functions of tensors, which compile with `jit_compile=True`; what is
attacked is a function from images to scores.
"""

from typing import NamedTuple

import tensorflow as tf

from noisymix_tf.attacks import draws, objective

PIXEL_MAX = 255.0


class Budget(NamedTuple):
    """How far and how long to search; scalars, Python numbers or tensors.

    Attributes:
        eps: Radius of the ball, in grey levels.
        step_size: Length of a step, in grey levels.
        steps: Number of steps.
        restarts: Number of searches, each from a start of its own.
        seed: Seed of the random starts.
    """

    eps: float
    step_size: float
    steps: int
    restarts: int = 1
    seed: int = 0


def search(score, images, labels, indices, budget, *, ball, loss, random_start):
    """Looks in a ball around each image for the one with the highest loss.

    Args:
        score: Function from float32 images 0..255 to scores `[B, K]`: logits,
            or log-probabilities.
        images: float32 `[B, H, W, C]`, 0..255.
        labels: int32 `[B]`.
        indices: int32 `[B]`, each image's place in its dataset.
        budget: A `Budget`.
        ball: A `Ball`, an entry of `BALLS`.
        loss: Function of scores and labels, an entry of `LOSSES`.
        random_start: Whether to start at a random place in the ball.

    Returns:
        float32 `[B, H, W, C]`, 0..255 and in the ball: where the last step of
        the only search ended; of several searches, for each image a
        misclassified end before others, then the one of the highest loss.
    """
    budget = Budget(
        tf.cast(budget.eps, tf.float32),
        tf.cast(budget.step_size, tf.float32),
        *(
            value if isinstance(value, int) else tf.cast(value, tf.int32)
            for value in budget[2:]
        ),
    )

    def climb(restart):
        start = images
        if random_start:
            noise = starts(images.shape[1:], indices, restart, budget, ball)
            start = tf.clip_by_value(images + noise, 0.0, PIXEL_MAX)
        return ascend(score, images, labels, start, budget, ball, loss)

    if isinstance(budget.restarts, int) and budget.restarts == 1:
        return climb(0)

    def again(restart, best, best_loss, best_missed):
        found = climb(restart)
        scores = score(found)
        value = loss(scores, labels)
        missed = objective.missed(scores, labels)
        worse = tf.where(missed == best_missed, value > best_loss, missed)
        pick = worse | (restart == 0)
        return (
            restart + 1,
            tf.where(pick[:, None, None, None], found, best),
            tf.where(pick, value, best_loss),
            tf.where(pick, missed, best_missed),
        )

    nothing = tf.zeros_like(labels, tf.float32)
    return tf.while_loop(
        lambda restart, *_: restart < budget.restarts,
        again,
        (0, images, nothing, nothing > 0.0),
    )[1]


def ascend(score, images, labels, start, budget, ball, loss):
    """Takes the steps of one search; each ends in the ball and in 0..255.

    Args:
        start: float32 `[B, H, W, C]`, where it begins.
        score, images, labels, budget, ball, loss: As in `search`.

    Returns:
        float32 `[B, H, W, C]`.

    Source: Madry et al. (2018), "Towards Deep Learning Models Resistant to
    Adversarial Attacks", section 2.1.
    """

    def step(count, place):
        gradient, _ = objective.ascent(loss, score, place, labels)
        place += budget.step_size * ball.direction(gradient)
        # The image lies in 0..255, so that clipping leads nearer to it.
        place = images + ball.project(place - images, budget.eps)
        return count + 1, tf.clip_by_value(place, 0.0, PIXEL_MAX)

    if isinstance(budget.steps, int) and budget.steps == 1:
        return step(0, start)[1]
    return tf.while_loop(
        lambda count, _: count < budget.steps, step, (0, start)
    )[1]


def starts(shape, indices, restart, budget, ball):
    """Random perturbations, one for every image, the same in any batch.

    Args:
        shape: `[H, W, C]`.
        indices: int32 `[B]`.
        restart: int scalar.
        budget, ball: As in `search`.

    Returns:
        float32 `[B, H, W, C]`, each a function of (seed, restart, index).
    """

    def draw(index):
        key = draws.key(budget.seed, restart, index)
        return ball.draw(key, shape, budget.eps)

    return tf.map_fn(
        draw, indices, fn_output_signature=tf.TensorSpec(shape, tf.float32)
    )
