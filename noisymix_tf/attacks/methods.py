"""The attacks along gradients that users call: FGSM and PGD."""

from typing import NamedTuple

import numpy as np

from noisymix_tf.attacks.search import BALLS, LOSSES, PIXEL_MAX, Budget
from noisymix_tf.attacks.victims import Victim, victim
from noisymix_tf.checks import (
    INT_MAX,
    class_numbers,
    flag,
    radius,
    whole_number,
)
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf


def fgsm(
    model, images, labels, eps, *, random_start=False, **options
) -> "tf.Tensor":
    """Fast gradient sign method: one step along the sign of the gradient.

        x' = clip(x + eps sign(d CE(model(x), y) / dx), 0, 255)

    Args:
        model: Keras model, or a function of images that TensorFlow can
            differentiate. It takes pixels 0..255, so that its normalisation
            is part of what is attacked, and gives logits or probabilities
            `[B, K]`. It is called with `training=False` and left as it is.
        images: uint8, or floats in 0..255, `[B, H, W, C]`.
        labels: int `[B]`, or one-hot `[B, K]`.
        eps: Radius of the ball for pixels scaled to 0..1, as the literature
            gives it: `4 / 255`, four grey levels, in the maximum norm; `0.5` in
            the Euclidean norm of a whole image (127.5 in grey levels).
        random_start: Whether to start at a place drawn uniformly from the
            ball, or at the image.
        **options: The others of `pgd`, of which it is one step of length `eps`.

    Returns:
        float32 `[B, H, W, C]` in 0..255 and, up to rounding, in the ball.

    Raises:
        UsageError: An argument that is not of this form, or a model that does
            not fit.

    >>> model = lambda images: tf.reduce_mean(images, axis=[1, 2])
    >>> images, labels = tf.fill([1, 2, 2, 2], 100.0), [0]
    >>> fgsm(model, images, labels, eps=4 / 255).numpy()[0, 0, 0].tolist()
    [96.0, 104.0]

    Source: Goodfellow et al. (2015), "Explaining and Harnessing Adversarial
    Examples", section 4; with a random start Wong et al. (2020), "Fast is
    better than free", algorithm 3, with a step of `eps`.
    """
    for name in options.keys() & {"steps", "step_size"}:
        raise UsageError(
            f"{name}={options[name]!r} is not for fgsm, which does one step of "
            f"length eps: leave it out, or call pgd."
        )
    options |= {"steps": 1, "step_size": eps, "random_start": random_start}
    return pgd(model, images, labels, eps, **options)


def pgd(
    model,
    images,
    labels,
    eps,
    *,
    norm="linf",
    steps=10,
    step_size=None,
    restarts=1,
    random_start=True,
    seed=0,
    indices=None,
    from_logits=None,
    loss="cross_entropy",
    jit_compile=False,
) -> "tf.Tensor":
    """Projected gradient descent: the worst image found in a ball.

    Each step follows the sign of the loss's gradient (`"linf"`) or its
    direction (`"l2"`), then goes back into the ball and into 0..255. The rest
    is as for `fgsm`.

    Args:
        norm: `"linf"` or `"l2"`.
        step_size: Length of a step, as `eps`; `eps / 4` by default.
        restarts: Number of searches from different random starts. Of each
            image the worst end is kept: misclassified ones first, then the one
            of the highest loss.
        indices: int `[B]`, each image's place in its dataset; 0 to B - 1 by
            default. With `seed` and the number of the restart it decides the
            random start, whatever the batch size or the order.
        from_logits: Whether the model gives logits (True) or probabilities
            (False). None finds out, see `probabilities.gives_logits`.
        loss: `"cross_entropy"`, with which published numbers are made, or
            `"log_odds"`, the same in exact arithmetic: see `LOSSES`.
        jit_compile: Whether to compile with XLA.

    Source: Madry et al. (2018), "Towards Deep Learning Models Resistant to
    Adversarial Attacks", section 2.1.
    """
    LOSSES.get(str(loss))
    flag("jit_compile", jit_compile)
    flag("random_start", random_start)
    target = prepared(model, images, labels, eps, norm, from_logits)
    restarts = whole_number("restarts", restarts, 1)
    if restarts > 1 and not random_start:
        raise UsageError(
            f"restarts={restarts} without a random start would search "
            f"{restarts} times the same: set random_start=True or restarts=1."
        )
    budget = _budget(target.eps, step_size, steps, restarts, seed)
    places = _places(indices, len(images))
    kind = str(norm), str(loss), target.from_logits, random_start, restarts > 1
    attack = target.victim.attack(*kind, jit_compile=jit_compile)
    return attack(target.images, target.labels, places, budget)


def _budget(eps, step_size, steps, restarts, seed):
    step_size = eps / 4 if step_size is None else radius("step_size", step_size)
    if eps and not step_size:
        raise UsageError("step_size=0 must be above 0: leave it out for eps/4.")
    steps = whole_number("steps", steps, 1)
    seed = whole_number("seed", seed, 0)
    return Budget.of_shares(eps, step_size, steps, restarts, seed)


def _places(indices, count):
    places = np.arange(count) if indices is None else np.asarray(indices)
    if (
        places.shape != (count,)
        or not np.issubdtype(places.dtype, np.integer)
        or not 0 <= places.min() <= places.max() <= INT_MAX
    ):
        raise UsageError(
            f"indices must be {count} ints of 0 to {INT_MAX}, one per image, "
            f"got {places.dtype} of shape {list(places.shape)}."
        )
    return places.astype(np.int32)


class Target(NamedTuple):
    """What is attacked, checked."""

    victim: Victim
    images: np.ndarray  # float32 `[B, H, W, C]`.
    labels: np.ndarray  # int32 `[B]`, each one of the model's classes.
    eps: float
    num_classes: int
    from_logits: bool


def prepared(model, images, labels, eps, norm, from_logits, batch_size=None):
    """The `Target` of arguments as `pgd` takes them.

    The model is tried on a first batch of the images.
    """
    flag("from_logits", from_logits, (None,))
    images = _pixels(images)
    eps = radius("eps", eps, BALLS.get(str(norm)).span(images[0].size))
    target = victim(model)
    num_classes, is_logits = target.nature(images[:batch_size], from_logits)
    labels = class_numbers(labels, len(images)).astype(np.int32)
    if labels.max() >= num_classes:
        raise UsageError(
            f"Label {labels.max()} is not one of the model's classes, 0 to "
            f"{num_classes - 1}: choose labels and a model that fit."
        )
    return Target(target, images, labels, eps, num_classes, is_logits)


def _pixels(images):
    if tf.is_tensor(images) and not hasattr(images, "numpy"):
        raise UsageError(
            "images is a symbolic tensor: attack outside of tf.function, or "
            "call attacks.search inside of it."
        )
    images = np.asarray(images)
    dtype, size = tf.as_dtype(images.dtype), images.size
    low, high = (images.min(), images.max()) if size else (0, 0)
    for is_wrong, advice in (
        (images.ndim != 4 or not size, "add an axis or skip the batch"),
        (dtype != tf.uint8 and not dtype.is_floating, "cast them to uint8"),
        (not 0 <= low <= high <= PIXEL_MAX, "give them before normalisation"),
        (dtype.is_floating and 0 < high <= 1, "multiply them by 255"),
    ):
        if is_wrong:
            raise UsageError(
                f"Attacks take images [B, H, W, C] of pixels 0..255, uint8 or "
                f"floats; got {dtype.name} {list(images.shape)} from {low:g} "
                f"to {high:g}: {advice}."
            )
    return images.astype(np.float32)
