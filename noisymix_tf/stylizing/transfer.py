"""An image that has a content's features and a style's statistics of them."""

import tensorflow as tf

from noisymix_tf.stylizing.moments import Moments, adapt, moments

# Paint is laid on in layers of these resolutions. In pixels alone, the easiest
# way to a style's statistics is noise, in which no brushstroke is seen.
_STRIDES = (1, 2, 4, 8)
# Adam's constants.
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


class Transfer:
    """Optimises images by the loss of AdaIN's decoder (arXiv:1703.06868).

    Adam starts from the content and adds to its pixels, at full, half, quarter
    and an eighth of the resolution; they stay within 0..255. The size of its
    steps falls linearly to 0. Images of a batch do not act on each other.

    Args:
        network: Model from RGB `[B, h, w, 3]`, 0..255, to a list of features.
        steps: Number of steps.
        step_size: Size of the first in grey levels.
        style_weight: Weight of the moments' distance, summed over layers.
        content_weight: Weight of the distance of the deepest layer's features
            from the content's features with the style's moments.
        style_strength: The moments aimed at: the content's own (0) to those of
            the style (1).

    Example:

    >>> transfer = Transfer(feature_network("vgg16"))
    >>> transfer(images, transfer.moments(paintings)).shape
    TensorShape([8, 224, 224, 3])
    """

    def __init__(
        self,
        network,
        *,
        steps=60,
        step_size=3.0,
        style_weight=10.0,
        content_weight=1.0,
        style_strength=1.0,
    ):
        # Keras gives the features of one layer without a list around them.
        self._network = lambda images: tf.nest.flatten(network(images))
        self._steps = steps
        self._step_size = step_size
        self._style_weight = style_weight
        self._content_weight = content_weight
        self._strength = style_strength
        pixels = tf.TensorSpec([None, None, None, 3], tf.float32)
        # One function for all sizes of images.
        self._features = tf.function(self._network, input_signature=[pixels])
        rows = [
            Moments(*[tf.TensorSpec([None, x.shape[-1]], tf.float32)] * 2)
            for x in network.outputs
        ]
        self._optimize = tf.function(
            self._optimized, input_signature=[pixels, rows]
        )

    def moments(self, images):
        """List of `Moments`, one for each layer, of images `[B, h, w, 3]`."""
        pixels = tf.cast(images, tf.float32)
        return [moments(x) for x in self._features(pixels)]

    def __call__(self, images, styles):
        """Stylizes images.

        Args:
            images: uint8 or float `[B, h, w, 3]`, values 0..255.
            styles: List of `Moments` `[B, C]`, of `moments`.

        Returns:
            uint8 tensor `[B, h, w, 3]`.
        """
        return self._optimize(tf.cast(images, tf.float32), list(styles))

    def _optimized(self, images, styles):
        content = self._network(images)
        targets = [
            moments(x).towards(style, self._strength)
            for x, style in zip(content, styles)
        ]
        adapted = adapt(content[-1], targets[-1])

        def step(number, *state):
            layers, means, squares = tf.nest.pack_sequence_as(start, state)
            with tf.GradientTape() as tape:
                tape.watch(layers)
                pixels = _painted(images, layers)
                loss = self._loss(self._network(pixels), targets, adapted)
            gradients = tape.gradient(loss, layers)
            count = tf.cast(number, tf.float32)
            size = self._step_size * (1 - count / self._steps)
            moved = [
                _adam(*parts, count + 1, size)
                for parts in zip(layers, gradients, means, squares)
            ]
            return number + 1, *tf.nest.flatten([*zip(*moved)])

        start = [[_coarse_zeros(images, s) for s in _STRIDES]] * 3
        _, *state = tf.while_loop(
            lambda number, *_: number < self._steps,
            step,
            (tf.constant(0), *tf.nest.flatten(start)),
        )
        pixels = _painted(images, state[: len(_STRIDES)])
        return tf.cast(tf.round(pixels), tf.uint8)

    def _loss(self, features, targets, adapted):
        """Sum over the batch; each layer in units of its style's power."""
        style = 0.0
        for x, target in zip(features, targets):
            mean, std = moments(x)
            distance = (mean - target.mean) ** 2 + (std - target.std) ** 2
            style += tf.reduce_mean(distance, 1) / _power(target)
        distance = tf.reduce_mean((features[-1] - adapted) ** 2, [1, 2, 3])
        content = distance / _power(targets[-1])
        return tf.reduce_sum(
            self._style_weight * style + self._content_weight * content
        )


def _power(target):
    return tf.reduce_mean(target.mean**2 + target.std**2, 1)


def _coarse_zeros(images, stride):
    shape = tf.shape(images)
    sides = (shape[1:3] + stride - 1) // stride
    return tf.zeros(tf.concat([shape[:1], sides, [3]], 0))


def _painted(images, layers):
    """Images with layers of paint on them, each enlarged to their size."""
    size = tf.shape(images)[1:3]
    for layer in layers:
        images += tf.image.resize(layer, size)
    return tf.clip_by_value(images, 0.0, 255.0)


def _adam(value, gradient, mean, square, count, size):
    """A step of Adam, the `count`-th from 1: value, mean and square of it."""
    mean = _BETA1 * mean + (1 - _BETA1) * gradient
    square = _BETA2 * square + (1 - _BETA2) * gradient**2
    unbiased = mean / (1 - _BETA1**count)
    deviation = tf.sqrt(square / (1 - _BETA2**count))
    return value - size * unbiased / (deviation + _EPSILON), mean, square
