"""One train step, from top to bottom: views, adversary, plan, forward, loss.

Functions of their arguments alone; `Parts` is what a trainer gives them. In
here a batch is laid out view-major, `[V * B, ...]`: first the clean view of all
examples, then the second view of all.
"""

import collections
import dataclasses
import functools
import typing
import warnings

import keras
import tensorflow as tf

from noisymix_tf import distribution, rng
from noisymix_tf import mixing as mixing_lib
from noisymix_tf.attacks import Adversary
from noisymix_tf.attacks.search import ascent, check_scores
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import noise
from noisymix_tf.probabilities import scores
from noisymix_tf.training.losses import Partners


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a step works with, as it stands when the step is traced."""

    model: keras.Model  # The classifier.
    input: keras.KerasTensor | None  # Its input, where that is known.
    segments: list  # The classifier, cut at the taps.
    mixing: mixing_lib.Mixing  # Bound to the number of taps.
    adversary: Adversary | None
    seed: int
    step: tf.Tensor  # Number of the step; with the seed it says what is drawn.
    levels: dict  # `{name: float32 scalar}`.
    in_use: frozenset  # Names of levels that are, or may become, positive.
    noise_per_view: tuple  # Factors of the additive noise.
    noise_per_tap: tuple  # Factors of both kinds.
    # Running variances of the features, `[T]`; None where noise is absolute.
    noise_variance: tf.Tensor | None
    compute_loss: typing.Callable  # Cross-entropy, with what layers add to it.
    # The stability term; it knows how the classifier's outputs are meant.
    stability: keras.losses.Loss

    @property
    def measures(self) -> bool:
        """Whether the step measures what noise goes by."""
        is_used = "additive_noise" in self.in_use
        return is_used and self.noise_variance is not None

    def stream(self, name, replica=0) -> tf.Tensor:
        """Seed of one stream of the step, int32 `[2]`."""
        return rng.stream(self.seed, self.step, name, replica)


def gradients(parts, scale, views, labels, sample_weight=None) -> tuple:
    """Forward and backward pass of a batch.

    Args:
        parts: `Parts`.
        scale: Function of the loss whose gradients are taken.
        views: `[B, V, ...]`, or `[B, ...]` for one view.
        labels, sample_weight: `[B, ...]`; `[B]`, or None.

    Returns:
        `(losses, gradients, rows, variances)`: total, cross-entropy and
        divergence; of all trainable weights; for metrics clean predictions,
        labels, weights; and as `forward`, the mean over replicas.
    """
    if labels is None:
        raise UsageError(
            "The batches have no labels: give fit(views, labels), or a dataset "
            "of (views, labels)."
        )
    x, num_views = view_major(views, parts.input)
    x = attacked(parts, x, labels)
    plan = settled_plan(parts, x, labels)
    partners = Partners(plan, labels, sample_weight)
    with tf.GradientTape() as tape:
        predictions, variances = forward(parts, x, num_views, plan)
        losses = loss_terms(parts, predictions, partners)
        scaled_loss = scale(losses[0])
    found = tape.gradient(scaled_loss, parts.model.trainable_weights)
    if variances is not None:
        variances = distribution.replica_mean(variances)
    return losses, found, (predictions[0], *partners.dominant()), variances


def view_major(views, example) -> tuple[tf.Tensor, int]:
    """Lays `[B, V, ...]` out as `[V * B, ...]`; returns that and V.

    A batch without the axis of views counts as one view. `example` is the
    symbolic input of the model, or None: cut at its taps, a network with
    pooling would run on images of any size.
    """
    dtype = tf.float32
    if example is not None:
        dtype = example.dtype
        if len(views.shape) == len(example.shape):
            views = views[:, None]
        if not views.shape[2:].is_compatible_with(example.shape[1:]):
            raise UsageError(
                f"The batch has views of examples {list(views.shape[2:])}, but "
                f"the model takes {list(example.shape[1:])}: give it views of "
                f"that shape."
            )
    num_views = views.shape[1]
    if num_views is None:
        raise UsageError(
            f"views of shape {views.shape} do not say how many views an image "
            f"has; give batches of a static shape [B, V, ...]."
        )
    order = [1, 0, *range(2, len(views.shape))]
    x = tf.transpose(tf.cast(views, dtype), order)
    return tf.reshape(x, [-1, *_sides(x)[2:]]), num_views


def _sides(x):
    """The shape of a tensor, in numbers where they are known."""
    known = enumerate(x.shape)
    return [tf.shape(x)[i] if side is None else side for i, side in known]


def single(inputs, example) -> tf.Tensor:
    """Examples that views are to be made of, `[B, ...]`; `example` as above."""
    # Of a model without a graph it is unknown.
    rank = 4 if example is None else len(example.shape)
    if len(inputs.shape) == rank + 1 and inputs.shape[1] == 1:
        # From `nm.data.views`, which was told to make no views.
        inputs = inputs[:, 0]
    if len(inputs.shape) != rank:
        raise UsageError(
            f"The trainer was given standard or augment and makes the views "
            f"itself, but the batch of shape {inputs.shape} has views already; "
            f"leave them out of the pipeline or out of NoisyMix."
        )
    return inputs


def attacked(parts, x, labels) -> tf.Tensor:
    """Puts adversarial images in the place of clean ones, before all else.

    The attack meets the network as it predicts in evaluation, with moving
    statistics and without dropout, so that nothing of the network changes; the
    published code of Engstrom et al. (MadryLab/robustness) does likewise.
    """
    if parts.adversary is None:
        return x
    parts.adversary.check(tuple(x.shape[1:]))
    if parts.stability.multi_label:
        raise UsageError(
            "An adversary attacks one class of each image, but the model "
            "says yes or no to several; leave out adversary."
        )
    size = _batch_size(labels)
    key = parts.stream("adversary", distribution.replica()[0])
    found = parts.adversary.attack(
        functools.partial(_scores, parts),
        tf.cast(x[:size], tf.float32),
        _class_numbers(labels),
        # Attacks take seeds of at least 0.
        tf.bitwise.bitwise_and(key[0], 0x7FFFFFFF),
    )
    return tf.concat([tf.cast(found, x.dtype), x[size:]], axis=0)


def _scores(parts, images):
    """Scores of the classifier as evaluation's attacks see them."""
    predictions = parts.model(images, training=False)
    check_scores(predictions, "leave out adversary")
    return scores(predictions, parts.stability.from_logits)


def _class_numbers(labels):
    """Class numbers `[B]`, of shares of classes the largest; int32."""
    if labels.shape.rank == 2 and labels.shape[1] != 1:
        return tf.argmax(labels, axis=-1, output_type=tf.int32)
    return tf.cast(tf.reshape(labels, [-1]), tf.int32)


def _batch_size(labels):
    return labels.shape[0] or tf.shape(labels)[0]


# The clean view of a batch, as `Mixing.settle` takes it.
_Clean = collections.namedtuple("_Clean", "images features gradient seed")


def settled_plan(parts, x, labels) -> mixing_lib.MixPlan:
    """What the step mixes: drawn, and settled with the clean view."""
    size = _batch_size(labels)
    clean = _Clean(
        x[:size],
        functools.partial(parts.segments[0], training=False),
        functools.partial(slopes, parts, labels=labels),
        parts.stream("saliency", distribution.replica()[0]),
    )
    plan = parts.mixing.plan(parts.stream("mixing"), size)
    return parts.mixing.settle(plan, clean)


def slopes(parts, features, labels) -> tf.Tensor:
    """Slope of each example's loss at the first tap, up to a factor; float32.

    The network predicts as in evaluation, so that nothing of it changes.
    """

    def predictions(x):
        for segment in parts.segments[1:]:
            x = segment(x, training=False)
        # A tensor of its own: of what a softmax returns, Keras' losses look up
        # the logits and leave out the probabilities.
        return tf.identity(tf.cast(x, tf.float32))

    def loss(found, labels):
        return parts.compute_loss(y=labels, y_pred=found)

    slope, _ = ascent(loss, predictions, features, labels)
    return tf.cast(slope, tf.float32)


def forward(parts, x, num_views, plan) -> tuple:
    """Predictions `[V, B, K]`, mixed and perturbed at the plan's tap.

    Where noise goes by them also the variances of the clean view's features at
    each tap, `[T]`, 0 behind the plan's; else None.
    """
    seed = parts.stream("noise", distribution.replica()[0])
    mixing, variances = parts.mixing, []

    def perturb(h, index):
        sides = _sides(h)[1:]
        by_view = tf.reshape(h, [num_views, -1, *sides])
        mixed = mixing.mix(by_view, plan)
        own = variances[index] if variances else None
        noisy = _noisy(parts, mixed, index, own, seed)
        return tf.reshape(noisy, [-1, *sides])

    for index, segment in enumerate(parts.segments):
        x = segment(x, training=True)
        if index >= mixing.num_taps:
            continue
        if parts.measures:
            clean = x[: _batch_size(x) // num_views]
            variances.append(noise.variance(clean))
        if mixing.hidden:
            changed = functools.partial(perturb, x, index)
            x = tf.cond(tf.equal(plan.tap, index), changed, lambda x=x: x)
        else:
            x = perturb(x, index)
    if not tf.is_tensor(x) or {*x.shape[1:-1]} - {1}:
        found = getattr(x, "shape", type(x).__name__)
        raise UsageError(
            f"NoisyMix trains classifiers with one output [B, K], but this "
            f"model gives {found}: give it a model of what is to be classified."
        )
    predictions = tf.reshape(x, [num_views, -1, x.shape[-1]])
    if not variances:
        return predictions, None
    is_clean = tf.range(mixing.num_taps) <= plan.tap
    return predictions, tf.where(is_clean, tf.stack(variances), 0.0)


def _noisy(parts, x, tap, variance, seed):
    """`x`, `[V, B, ...]`, with fresh noise, each view at levels of its own."""
    if not {"additive_noise", "multiplicative_noise"} & parts.in_use:
        return x
    levels, factor = parts.levels, at(parts.noise_per_tap, tap)
    factors = [factor * at(parts.noise_per_view, v) for v in range(x.shape[0])]
    additive = levels["additive_noise"] * tf.constant(factors)
    if variance is not None:
        additive *= noise.deviation(parts.noise_variance[tap], variance)
    return noise.feature_noise(
        x,
        seed,
        additive,
        levels["multiplicative_noise"] * tf.fill([x.shape[0]], factor),
        levels["noise_sparsity"],
    )


def at(factors, index) -> float:
    """Factor of a view or tap; the last one is also for those beyond."""
    return factors[min(index, len(factors) - 1)]


def loss_terms(parts, predictions, partners) -> tuple:
    """Total, cross-entropy and divergence of predictions `[V, B, K]`."""
    clean = predictions[0]
    ce = partners.mix(
        lambda labels, weight: parts.compute_loss(
            y=labels, y_pred=clean, sample_weight=weight
        )
    )
    if "jsd_weight" not in parts.in_use:
        return ce, ce, tf.zeros([])
    if predictions.shape[0] == 1:
        warnings.warn(
            "The batches have one view of each image, so that there is "
            "nothing for the stability term to compare; give views "
            "[B, V, ...] with V > 1 (nm.data.views, nm.augment."
            "augmix_views), or jsd_weight=0.",
            stacklevel=2,
        )
        return ce, ce, tf.zeros([])
    others = tf.transpose(predictions[1:], [1, 0, 2])
    divergence = parts.stability(clean, others, sample_weight=partners.weight())
    return ce + parts.levels["jsd_weight"] * divergence, ce, divergence
