"""The attacks along gradients that users call: FGSM and PGD."""

import numpy as np

from noisymix_tf.attacks.balls import BALLS
from noisymix_tf.attacks.search import LOSSES, PIXEL_MAX, Budget
from noisymix_tf.attacks.victims import victim
from noisymix_tf.checks import (
    INT_MAX,
    class_numbers,
    flag,
    radius,
    whole_number,
)
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf


def fgsm(model, images, labels, eps, *, random_start=False, **options):
    """Fast gradient sign method: one step along the sign of the gradient.

        x' = clip(x + eps sign(d CE(model(x), y) / dx), 0, 255)

    It is `pgd` with one step of length `eps`: arguments, result and errors are
    those of `pgd`.

    Example:

    >>> adversarial = fgsm(model, images, labels, eps=4 / 255)
    >>> accuracy = (model(adversarial).numpy().argmax(-1) == labels).mean()

    Source: Goodfellow et al. (2015), "Explaining and Harnessing Adversarial
    Examples", section 4; with a random start Wong et al. (2020), "Fast is
    better than free", algorithm 3, with a step of `eps`.
    """
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
):
    """Projected gradient descent: the worst image found in a ball.

    Each step follows the sign of the loss's gradient (`"linf"`) or its
    direction (`"l2"`), then goes back into the ball and into 0..255.

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
        norm: `"linf"` or `"l2"`.
        steps: Number of steps, at least 1.
        step_size: Length of a step, as `eps`; `eps / 4` by default.
        restarts: Number of searches from different random starts. Of each
            image the worst end is kept: misclassified ones first, then the one
            of the highest loss.
        random_start: Whether a search starts at a place drawn uniformly from
            the ball, or at the image.
        seed: Of random starts; int of at least 0.
        indices: int `[B]`, each image's place in its dataset; 0 to B - 1 by
            default. With `seed` and the number of the restart it decides the
            random start, whatever the batch size or the order.
        from_logits: Whether the model gives logits (True) or probabilities
            (False). None finds out, see `probabilities.gives_logits`.
        loss: What is climbed. `"cross_entropy"` is what published numbers are
            made with, but where the model is very sure its gradient is rounded
            away, and the model looks more robust than it is. `"log_odds"` is
            the same attack in exact arithmetic, without that rounding.
        jit_compile: Whether to compile with XLA.

    Returns:
        float32 `[B, H, W, C]` in 0..255 and, up to rounding, in the ball.

    Raises:
        UsageError: An argument that is not of this form, or a model that does
            not fit.

    Example:

    >>> adversarial = pgd(model, images, labels, eps=0.5, norm="l2", steps=20)

    Source: Madry et al. (2018), "Towards Deep Learning Models Resistant to
    Adversarial Attacks", section 2.1.
    """
    norm, loss = str(norm), str(loss)
    BALLS.get(norm)
    LOSSES.get(loss)
    steps = whole_number("steps", steps, 1)
    restarts = whole_number("restarts", restarts, 1)
    seed = whole_number("seed", seed, 0)
    flag("random_start", random_start)
    flag("jit_compile", jit_compile)
    if restarts > 1 and not random_start:
        raise UsageError(
            f"restarts={restarts} without a random start would search "
            f"{restarts} times the same: set random_start=True or restarts=1."
        )
    target, images, eps = prepared(model, images, eps, norm, from_logits)
    step_size = eps / 4 if step_size is None else radius("step_size", step_size)
    if eps and not step_size:
        raise UsageError("step_size=0 must be above 0: leave it out for eps/4.")
    num_classes, from_logits = target.nature(images, from_logits)
    labels = labels_of(images, labels, num_classes)
    places = np.arange(len(images)) if indices is None else np.asarray(indices)
    whole = np.issubdtype(places.dtype, np.integer)
    if (
        places.shape != labels.shape
        or not whole
        or not (0 <= places.min() <= places.max() <= INT_MAX)
    ):
        raise UsageError(
            f"indices must be {len(labels)} ints of 0 to {INT_MAX}, one per "
            f"image, got {places.dtype} of shape {list(places.shape)}."
        )
    kind = norm, loss, from_logits, random_start, restarts > 1
    attack = target.attack(*kind, jit_compile=jit_compile)
    budget = Budget.of_shares(eps, step_size, steps, restarts, seed)
    return attack(images, labels, places.astype(np.int32), budget)


def prepared(model, images, eps, norm, from_logits):
    """The `Victim`, images float32 `[B, H, W, C]` and the radius, checked."""
    flag("from_logits", from_logits, (None,))
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
    images = images.astype(np.float32)
    eps = radius("eps", eps, BALLS.get(str(norm)).span(images[0].size))
    return victim(model), images, eps


def labels_of(images, labels, num_classes):
    """Class numbers int32 `[B]`, each one of the model's classes."""
    labels = class_numbers(labels, len(images)).astype(np.int32)
    if labels.max() >= num_classes:
        raise UsageError(
            f"Label {labels.max()} is not one of the model's classes, 0 to "
            f"{num_classes - 1}: choose labels and a model that fit."
        )
    return labels
