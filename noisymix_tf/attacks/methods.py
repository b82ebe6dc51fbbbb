"""The attacks that users call: FGSM and PGD."""

from noisymix_tf.attacks import checks
from noisymix_tf.attacks.balls import BALLS
from noisymix_tf.attacks.objective import LOSSES
from noisymix_tf.attacks.victims import budget_of, victim
from noisymix_tf.errors import UsageError


def fgsm(
    model,
    images,
    labels,
    eps,
    *,
    from_logits=None,
    random_start=False,
    seed=0,
    indices=None,
    loss="cross_entropy",
    jit_compile=False,
):
    """Fast gradient sign method: one step along the sign of the gradient.

        x' = clip(x + eps sign(d CE(model(x), y) / dx), 0, 255)

    It is `pgd` with one step of length `eps` in the maximum norm.

    Args:
        model: Keras model, or a function of images that TensorFlow can
            differentiate. It takes pixels 0..255, so that its normalisation
            is part of what is attacked, and gives logits or probabilities
            `[B, K]`. It is called with `training=False` and left as it is.
        images: uint8, or floats in 0..255, `[B, H, W, C]`.
        labels: int `[B]`, or one-hot `[B, K]`.
        eps: How far a pixel may move, as a fraction of the range 0..255: the
            literature's 4/255 is `4 / 255`, four grey levels.
        from_logits: Whether the model gives logits (True) or probabilities
            (False). None finds out: how the model ends tells, or else outputs
            of the first images that are non-negative and sum to one.
            Where a final softmax is found, the attack uses its logits.
        random_start: Whether to start at a random place in the ball; the end
            of the step is brought back into it.
        seed: Of random starts; int of at least 0.
        indices: int `[B]`, each image's place in its dataset; 0 to B - 1 by
            default. With `seed` it decides the random start, whatever the
            batch size or the order.
        loss: What is climbed. `"cross_entropy"` in plain float32 is what
            published numbers are made with, but of images on which the model
            is very sure its gradient is rounded away, which makes a model
            look more robust than it is. `"log_odds"` is the same attack in
            exact arithmetic, without that rounding.
        jit_compile: Whether to compile with XLA.

    Returns:
        float32 `[B, H, W, C]` in 0..255, no pixel further than `255 * eps`
        from the image's.

    Raises:
        UsageError: An argument that is not of this form, or a model that does
            not fit.

    Example:

    >>> adversarial = fgsm(model, images, labels, eps=4 / 255)
    >>> accuracy = (model(adversarial).numpy().argmax(-1) == labels).mean()

    Source: Goodfellow et al. (2015), "Explaining and Harnessing Adversarial
    Examples", section 4; with a random start Wong et al. (2020), "Fast is
    better than free", algorithm 3, with a step of `eps`.
    """
    return _attack(
        model,
        images,
        labels,
        norm="linf",
        eps=eps,
        step_size=None,
        relative_step=1.0,
        steps=1,
        restarts=1,
        random_start=random_start,
        seed=seed,
        indices=indices,
        from_logits=from_logits,
        loss=loss,
        jit_compile=jit_compile,
    )


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

    Each step follows the sign of the loss's gradient (`"linf"`) or
    its direction (`"l2"`), then goes back into the ball and into 0..255.

    Args:
        model: As in `fgsm`.
        images: uint8, or floats in 0..255, `[B, H, W, C]`.
        labels: int `[B]`, or one-hot `[B, K]`.
        eps: Radius of the ball for pixels scaled to 0..1, as the literature
            gives it: `4 / 255` in the maximum norm, `0.5` in the Euclidean
            norm of a whole image (127.5 in grey levels).
        norm: `"linf"` or `"l2"`.
        steps: Number of steps, at least 1.
        step_size: Length of a step, in the units of `eps`; `eps / 4` by
            default.
        restarts: Number of searches from different random starts. Of each
            image the worst end is kept: misclassified ones first, then the one
            of the highest loss.
        random_start: Whether a search starts at a place drawn uniformly from
            the ball, or at the image.
        seed: Of random starts; int of at least 0.
        indices: int `[B]`, each image's place in its dataset; 0 to B - 1 by
            default. With `seed` and the number of the restart it decides the
            random start, whatever the batch size or the order.
        from_logits: As in `fgsm`.
        loss: As in `fgsm`.
        jit_compile: Whether to compile with XLA.

    Returns:
        float32 `[B, H, W, C]` in 0..255 and, up to rounding, in the ball.

    Raises:
        UsageError: An argument that is not of this form, or a model that does
            not fit.

    Example:

    >>> adversarial = pgd(model, images, labels, eps=4 / 255, restarts=3)
    >>> adversarial = pgd(model, images, labels, eps=0.5, norm="l2", steps=20)

    Source: Madry et al. (2018), "Towards Deep Learning Models Resistant to
    Adversarial Attacks", section 2.1.
    """
    return _attack(
        model,
        images,
        labels,
        norm=norm,
        eps=eps,
        step_size=step_size,
        relative_step=0.25,
        steps=steps,
        restarts=restarts,
        random_start=random_start,
        seed=seed,
        indices=indices,
        from_logits=from_logits,
        loss=loss,
        jit_compile=jit_compile,
    )


def _attack(
    model,
    images,
    labels,
    *,
    norm,
    eps,
    step_size,
    relative_step,
    steps,
    restarts,
    random_start,
    seed,
    indices,
    from_logits,
    loss,
    jit_compile,
):
    """Checks everything, in the order of what is cheap, and searches."""
    ball = BALLS.get(str(norm))
    LOSSES.get(str(loss))
    steps = checks.whole_number("steps", steps, 1)
    restarts = checks.whole_number("restarts", restarts, 1)
    seed = checks.whole_number("seed", seed, 0)
    random_start = checks.flag("random_start", random_start)
    from_logits = checks.flag("from_logits", from_logits, (None,))
    jit_compile = checks.flag("jit_compile", jit_compile)
    if restarts > 1 and not random_start:
        raise UsageError(
            f"restarts={restarts} without a random start would search "
            f"{restarts} times the same: set random_start=True or restarts=1."
        )
    images = checks.images(images)
    eps = checks.radius(eps, ball.span(images[0].size))
    if step_size is None:
        step_size = relative_step * eps
    else:
        step_size = checks.step_size(step_size)
    target = victim(model)
    num_classes, from_logits = target.nature(images, from_logits)
    labels = checks.labels(labels, len(images), num_classes)
    indices = checks.indices(indices, len(images))
    search = target.attack(
        norm, loss, from_logits, random_start, restarts > 1, jit_compile
    )
    budget = budget_of(eps, step_size, steps, restarts, seed)
    return search(images, labels, indices, budget)
