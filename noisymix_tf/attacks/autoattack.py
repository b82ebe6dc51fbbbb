"""AutoAttack, run by its authors' package on a TensorFlow model.

The package attacks models of PyTorch. `torch_scores` is the bridge: PyTorch
calls it and differentiates it, TensorFlow computes scores and gradients.
"""

import contextlib
import functools
import sys
from collections.abc import Callable

import numpy as np

from noisymix_tf.attacks.methods import prepared
from noisymix_tf.attacks.search import PIXEL_MAX, back_to_pixels
from noisymix_tf.checks import whole_number
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.registry import Registry

# The package's versions, and what each of them runs, in this order.
VERSIONS = Registry("version")
VERSIONS.register("standard")(("apgd-ce", "apgd-t", "fab-t", "square"))
VERSIONS.register("plus")(
    ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t")
)
VERSIONS.register("rand")(("apgd-ce", "apgd-dlr"))
# Their losses divide by differences of the highest scores.
_CLASSES_MIN = {"apgd-dlr": 3, "apgd-t": 4}
# Targeted attacks try the classes of the next highest scores, at most so many.
_TARGETS_MAX = 9
_NO_GRADIENT = 'attack it with version="standard", attacks=["square"]'


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
) -> "tf.Tensor":
    """AutoAttack: several attacks without parameters, one after the other.

    Each attacks the images that those before it have left: Auto-PGD on the
    cross-entropy, Auto-PGD and FAB towards other classes, and Square, which
    uses no gradients. The accuracy on what is returned is the one that
    published leaderboards of robustness show.

    It needs thousands of forward passes for every image that stays robust:
    start with a few hundred. The logger `auto-attack` tells the progress at
    level DEBUG, and warns of models that this evaluation does not fit. PyTorch
    stays on the CPU; the model runs where TensorFlow puts it.

    Args:
        version: `"standard"`; `"plus"`, with more attacks and restarts; or
            `"rand"`, for models whose outputs are random.
        attacks: Names of the version's attacks to run, in this order; all of
            them by default. `"apgd-t"` needs at least 4 classes, `"apgd-dlr"`
            3.
        seed: Of all draws, which follow the place of an image in its batch.
        batch_size: Images per batch; the package's own default.

    The other arguments, the images that are returned and the errors are as for
    `pgd`. Images that withstand, or are misclassified from the start, come
    back as they are.

    Source: Croce and Hein (2020), "Reliable evaluation of adversarial
    robustness with an ensemble of diverse parameter-free attacks"; the package
    is `pyautoattack`.
    """
    seed = whole_number("seed", seed, 0)
    batch_size = whole_number("batch_size", batch_size, 1)
    target = prepared(model, images, labels, eps, norm, from_logits, batch_size)
    attacks = _checked(attacks, version, target.num_classes)
    packages = require_packages()
    if target.eps == 0.0:
        return tf.constant(target.images)
    options = {"norm": str(norm).capitalize(), "version": version, "seed": seed}
    return _attacked(target, attacks, batch_size, packages, options)


def _checked(attacks, version, num_classes):
    known = VERSIONS.get(str(version))
    attacks = known if attacks is None else attacks
    if isinstance(attacks, str) or not attacks or set(attacks) - set(known):
        raise UsageError(
            f"attacks={attacks!r} must be a list of at least one of version "
            f"{version!r}: {', '.join(known)}."
        )
    few = [n for n in attacks if num_classes < _CLASSES_MIN.get(n, 2)]
    if few:
        raise UsageError(
            f"The attack {few[0]} needs a model of at least "
            f"{_CLASSES_MIN[few[0]]} classes, this one has {num_classes}: "
            f"leave it out with attacks={[n for n in attacks if n not in few]}."
        )
    return list(attacks)


def _attacked(target, attacks, batch_size, packages, options):
    pyautoattack, torch = packages
    # One trace for all, because the attacks change the batch size.
    spec = tf.TensorSpec([None, *target.images.shape[1:]], tf.float32)
    score = functools.partial(target.victim.scores, target.from_logits)
    score = tf.function(score, input_signature=[spec], autograph=False)
    model = torch_scores(torch, score)
    options |= {"eps": target.eps, "device": "cpu"}
    search = pyautoattack.AutoAttack(model, **options)
    search.attacks_to_run = attacks
    for targeted in (search.apgd_targeted, search.fab):
        targeted.n_target_classes = min(_TARGETS_MAX, target.num_classes - 1)
    with _left_as_it_is(torch):
        found, _ = search.run_standard_evaluation(
            torch.tensor(_channels_first(target.images / PIXEL_MAX)),
            torch.tensor(target.labels, dtype=torch.int64),
            batch_size=batch_size,
        )
    return tf.constant(PIXEL_MAX * found.numpy().transpose(0, 2, 3, 1))


def torch_scores(torch, score) -> Callable:
    """A compiled TensorFlow function that PyTorch differentiates.

    Of a `score` as `search` takes it, a function from float32 tensors of
    PyTorch `[B, C, H, W]`, 0..1 and on the CPU, to scores. It can be
    differentiated once, from several sides.
    """

    class Scores(torch.autograd.Function):
        @staticmethod
        def forward(ctx, pixels):
            pixels = pixels.detach().numpy().transpose(0, 2, 3, 1)
            ctx.images = tf.constant(PIXEL_MAX * pixels)
            if not ctx.needs_input_grad[0]:
                return torch.tensor(score(ctx.images).numpy())
            # Kept, not computed again: a random model would draw anew.
            tape = tf.GradientTape(True, watch_accessed_variables=False)
            with tape as ctx.tape:
                ctx.tape.watch(ctx.images)
                ctx.scores = score(ctx.images)
            return torch.tensor(ctx.scores.numpy())

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx, slope):
            given = ctx.tape, ctx.scores, ctx.images, tf.constant(slope.numpy())
            direction, scale = back_to_pixels(*given, advice=_NO_GRADIENT)
            gradient = PIXEL_MAX * scale * direction
            return torch.tensor(_channels_first(gradient.numpy()))

    return Scores.apply


def least_classes(version="standard") -> int:
    """How many classes all attacks of a version need."""
    return max(_CLASSES_MIN.get(name, 2) for name in VERSIONS.get(version))


def require_packages() -> tuple:
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
    """Gives back PyTorch's generator and threads, and the debugger."""
    tracer, threads = sys.gettrace(), torch.get_num_threads()
    if not tf.config.list_logical_devices("GPU"):
        # Its other threads would wait in busy loops on TensorFlow's cores.
        torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        sys.settrace(tracer)


def _channels_first(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))
