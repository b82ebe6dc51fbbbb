"""Plans and mixed labels made in the input pipeline, for a plain `fit`."""

from collections.abc import Callable

from noisymix_tf import rng
from noisymix_tf.checks import is_real, is_whole, whole_number
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import tf
from noisymix_tf.mixing.kind import ManifoldMixing


def with_plan(num_taps, alpha, num_classes, seed=0, num_replicas=1) -> Callable:
    """A map that gives batches a mixing plan and mixed labels.

    Of batch number `index`, `(images, labels)`, it makes

        ((images, tap, lam, permutation), lam * Y + (1 - lam) * Y[permutation])

    where `Y` are the one-hot labels: what a model with a `layers.ManifoldMix`
    for each tap takes. Cross-entropy is linear in the label, so that one with
    the mixed label is the loss of manifold mixup. A plan is a pure function of
    (`seed`, `index`): `repeat` before `enumerate` gives each epoch new ones.

    Args:
        num_taps: Number of taps, of which one is drawn for each batch.
        alpha: `lam ~ Beta(alpha, alpha)`; 0 for `lam = 1`, as in evaluation.
        num_classes: Number of classes, K.
        seed: Seed of the plans, a Python int.
        num_replicas: Into how many equal parts a `tf.distribute` strategy
            splits a batch. Partners are then found inside a part.

    Returns:
        Function of `index`, int scalar, and `(images, labels)`: `[B, ...]` or a
        nest of such tensors, and int `[B]` or `[B, 1]`, or one-hot `[B, K]`. Of
        the plan it returns int32, float32 and int32 `[B]`.

    >>> data = tf.data.Dataset.from_tensors((tf.zeros([8, 4, 4, 3]), [3] * 8))
    >>> plan = with_plan(num_taps=2, alpha=1.0, num_classes=10)
    >>> data = data.repeat().enumerate().map(plan)
    >>> data.element_spec[1].shape  # model.fit(data, steps_per_epoch=390)
    TensorShape([8, 10])

    Reference: Verma et al., Manifold Mixup, arXiv:1806.05236, section 2.
    """
    counts = {"num_taps": num_taps, "num_classes": num_classes}
    for name, value in {**counts, "num_replicas": num_replicas}.items():
        whole_number(name, value, 1)
    if not is_real(alpha) or not alpha >= 0:
        raise UsageError(f"alpha={alpha!r} must be a number, at least 0.")
    if not is_whole(seed):
        raise UsageError(f"seed={seed!r} must be a whole number.")
    mixing = ManifoldMixing().bind(num_taps, alpha)

    @tf.autograph.experimental.do_not_convert
    def add_plan(index, batch):
        images, one_hot = _one_hot(batch, num_classes)
        size = one_hot.shape[0] or tf.shape(one_hot)[0]
        if isinstance(size, int) and size % num_replicas:
            raise UsageError(
                f"A batch of {size} does not split into {num_replicas} equal "
                f"parts; choose a batch size that num_replicas divides."
            )
        part = size // num_replicas
        plan = mixing.plan(rng.stream(seed, index, "mixing"), part)
        parts = tf.reshape(one_hot, [num_replicas, part, num_classes])
        mixed = tf.reshape(mixing.mix(parts, plan), [size, num_classes])
        partners = tf.tile(plan.permutation, [num_replicas])
        where = tf.fill([size], plan.tap), tf.fill([size], plan.lam)
        return (images, *where, partners), mixed

    return add_plan


def _one_hot(batch, num_classes):
    """Images as they are, and float32 labels `[B, K]`."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise UsageError(
            f"with_plan takes batches (images, labels), got "
            f"{tf.nest.map_structure(lambda part: part.shape, batch)}; map "
            f"what `enumerate` gives, without weights."
        )
    images, labels = batch[0], tf.convert_to_tensor(batch[1])
    if labels.shape.rank == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape.rank == 1:
        return images, tf.one_hot(tf.cast(labels, tf.int32), num_classes)
    if labels.shape.rank != 2 or labels.shape[1] != num_classes:
        raise UsageError(
            f"Labels of shape {labels.shape} are neither numbers [B] nor "
            f"one-hot [B, {num_classes}]; check num_classes={num_classes} and "
            f"batch the dataset first."
        )
    return images, tf.cast(labels, tf.float32)
