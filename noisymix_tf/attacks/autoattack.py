"""AutoAttack, run by its authors' package on a TensorFlow model.

The package attacks models of PyTorch. `torch_scores` is the bridge: PyTorch
calls it and differentiates it, TensorFlow computes scores and gradients.
"""

import contextlib
import sys

import numpy as np
import tensorflow as tf

from noisymix_tf.attacks import checks, objective
from noisymix_tf.attacks.balls import BALLS
from noisymix_tf.attacks.search import PIXEL_MAX
from noisymix_tf.attacks.victims import victim
from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry

# The package's versions, and what each of them runs, in this order.
VERSIONS = Registry("version")
VERSIONS.register("standard")(("apgd-ce", "apgd-t", "fab-t", "square"))
VERSIONS.register("plus")(
    ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t")
)
VERSIONS.register("rand")(("apgd-ce", "apgd-dlr"))

_NORMS = {"linf": "Linf", "l2": "L2"}
# Their losses divide by differences of the highest scores.
_CLASSES_MIN = {"apgd-dlr": 3, "apgd-t": 4}
# Targeted attacks try the classes of the next highest scores, at most so many.
_TARGETS_MAX = 9


def auto_attack(
    model,
    images,
    labels,
    eps,
    *,
    norm="linf",
    version="standard",
    attacks=None,
    seed=0,
    batch_size=250,
    from_logits=None,
):
    """AutoAttack: several attacks without parameters, one after the other.

    Each attacks the images that those before it have left: Auto-PGD on the
    cross-entropy, Auto-PGD and FAB towards other classes, and Square, which
    uses no gradients. The accuracy on what is returned is the one that
    published leaderboards of robustness show.

    It needs thousands of forward passes for every image that stays robust:
    start with a few hundred images. Draws follow `seed` and the place of an
    image in its batch. The logger `auto-attack` tells the progress at level
    DEBUG, and warns of models that this evaluation does not fit.

    Args:
        model: As in `fgsm`. PyTorch, which runs the attacks, stays on the CPU;
            the model runs where TensorFlow puts it.
        images: uint8, or floats in 0..255, `[B, H, W, C]`.
        labels: int `[B]`, or one-hot `[B, K]`.
        eps: Radius of the ball for pixels scaled to 0..1, as in `pgd`.
        norm: `"linf"` or `"l2"`.
        version: `"standard"`; `"plus"`, with more attacks and restarts; or
            `"rand"`, for models whose outputs are random.
        attacks: Names of the version's attacks to run, in this order; all of
            them by default. Auto-PGD towards classes (`"apgd-t"`) needs a
            model of at least 4 classes, `"apgd-dlr"` one of 3.
        seed: Of all draws; int of at least 0.
        batch_size: Images per batch; the package's own default.
        from_logits: As in `fgsm`.

    Returns:
        float32 `[B, H, W, C]` in 0..255 and, up to rounding, in the ball. An
        image for which nothing was found comes back as it is, and so does one
        that is misclassified from the start.

    Raises:
        UsageError: An argument that is not of this form, a model that does
            not fit, or a package that is not installed.

    Example:

    >>> adversarial = auto_attack(model, images, labels, eps=8 / 255)
    >>> accuracy = (model(adversarial).numpy().argmax(-1) == labels).mean()

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial
    robustness with an ensemble of diverse parameter-free attacks"; the package
    is `pyautoattack`.
    """
    norm, attacks = str(norm), _names(str(version), attacks)
    ball = BALLS.get(norm)
    if norm not in _NORMS:
        raise UsageError(
            f"AutoAttack knows no norm {norm!r}: choose one of "
            f"{', '.join(_NORMS)}."
        )
    seed = checks.whole_number("seed", seed, 0)
    batch_size = checks.whole_number("batch_size", batch_size, 1)
    from_logits = checks.flag("from_logits", from_logits, (None,))
    images = checks.images(images)
    eps = checks.radius(eps, ball.span(images[0].size))
    target = victim(model)
    num_classes, from_logits = target.nature(images[:batch_size], from_logits)
    labels = checks.labels(labels, len(images), num_classes)
    _check_classes(attacks, num_classes)
    pyautoattack, torch = require_packages()
    if eps == 0.0:
        return tf.constant(images)

    search = pyautoattack.AutoAttack(
        torch_scores(torch, _score(target, images.shape[1:], from_logits)),
        norm=_NORMS[norm],
        eps=eps,
        version=version,
        seed=seed,
        device="cpu",
    )
    search.attacks_to_run = list(attacks)
    targets = min(_TARGETS_MAX, num_classes - 1)
    search.apgd_targeted.n_target_classes = targets
    search.fab.n_target_classes = targets
    with _left_as_it_is(torch):
        found, _ = search.run_standard_evaluation(
            torch.tensor(_channels_first(images / PIXEL_MAX)),
            torch.tensor(labels, dtype=torch.int64),
            batch_size=batch_size,
        )
    return tf.constant(PIXEL_MAX * _channels_last(found.numpy()))


def torch_scores(torch, score):
    """A TensorFlow classifier as a function that PyTorch differentiates.

    Args:
        torch: The module.
        score: Compiled function from float32 images `[B, H, W, C]`, 0..255, to
            float32 scores `[B, K]`, one image's independent of the others'.

    Returns:
        Function from float32 tensors of PyTorch `[B, C, H, W]`, 0..1 and on
        the CPU, to scores `[B, K]`. It can be differentiated once, from
        several sides.
    """

    class Scores(torch.autograd.Function):
        @staticmethod
        def forward(ctx, pixels):
            pixels = _channels_last(pixels.detach().numpy())
            ctx.images = tf.constant(PIXEL_MAX * pixels)
            if not ctx.needs_input_grad[0]:
                return torch.tensor(score(ctx.images).numpy())
            # Kept, not computed again: a random model would draw anew.
            ctx.tape = tf.GradientTape(
                persistent=True, watch_accessed_variables=False
            )
            with ctx.tape:
                ctx.tape.watch(ctx.images)
                ctx.scores = score(ctx.images)
            return torch.tensor(ctx.scores.numpy())

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, slope):
            slope = tf.constant(slope.numpy())
            # What goes back is one for each image, as in `objective.ascent`.
            scale = tf.reduce_max(tf.abs(slope), axis=-1, keepdims=True)
            direction = ctx.tape.gradient(
                ctx.scores, ctx.images, tf.math.divide_no_nan(slope, scale)
            )
            if direction is None:
                raise UsageError(
                    "The model has no gradient with respect to its pixels: "
                    'attack it with version="standard", attacks=["square"].'
                )
            gradient = PIXEL_MAX * scale[:, :, None, None] * direction
            return torch.tensor(_channels_first(gradient.numpy()))

    return Scores.apply


def _score(target, shape, from_logits):
    """A victim's scores; one trace, for the attacks change the batch size."""

    @tf.function(
        input_signature=[tf.TensorSpec([None, *shape], tf.float32)],
        autograph=False,
    )
    def score(images):
        return objective.scores(target.outputs(images), from_logits)

    return score


def _names(version, attacks):
    """The attacks to run, a tuple of names."""
    known = VERSIONS.get(version)
    if attacks is None:
        return known
    if isinstance(attacks, str) or not attacks or set(attacks) - set(known):
        raise UsageError(
            f"attacks={attacks!r} must be a list of at least one of version "
            f"{version!r}: {', '.join(known)}."
        )
    return tuple(attacks)


def _check_classes(attacks, num_classes):
    few = [n for n in attacks if num_classes < _CLASSES_MIN.get(n, 2)]
    if few:
        rest = [name for name in attacks if name not in few]
        raise UsageError(
            f"The attack {few[0]} needs a model of at least "
            f"{_CLASSES_MIN[few[0]]} classes, this one has {num_classes}: "
            f"leave it out with attacks={rest}."
        )


def least_classes(version="standard"):
    """How many classes all attacks of a version need."""
    return max(_CLASSES_MIN.get(name, 2) for name in VERSIONS.get(version))


def require_packages():
    """The package and PyTorch; a `UsageError` says how to install them."""
    try:
        import pyautoattack
        import torch
    except ImportError as error:
        raise UsageError(
            f"auto_attack needs the package {error.name}: "
            'pip install "noisymix_tf[autoattack]".'
        ) from error
    return pyautoattack, torch


@contextlib.contextmanager
def _left_as_it_is(torch):
    """Gives back what the attacks change in the process they run in.

    That is PyTorch's generator, its threads, and the debugger, which a check
    of the package ends.
    """
    tracer, threads = sys.gettrace(), torch.get_num_threads()
    if not tf.config.list_logical_devices("GPU"):
        # Only pixels are added up in PyTorch. Its other threads would wait
        # for work in busy loops, on the cores that TensorFlow computes on.
        torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        sys.settrace(tracer)


def _channels_first(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _channels_last(images):
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1))
