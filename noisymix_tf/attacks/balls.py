"""The sets that perturbations come from: balls of a norm around zero.

A new norm is one more entry of the registry. Perturbations are float32
`[B, H, W, C]`, each image on its own; radii are in the units of the pixels.
An attack is a measurement: unlike those of `rng`, its draws are the same ones
with and without XLA.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple

from noisymix_tf.lazy import tf
from noisymix_tf.registry import Registry

BALLS = Registry("norm")
_GENERATOR = "philox"
_NAME = zlib.crc32(b"attack") & 0x7FFFFFFF


class Ball(NamedTuple):
    """What an attack needs to know about a norm.

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


def draw_key(seed, restart, index):
    """The key, int32 `[2]`, of a restart for the image at a place `index`."""
    key = tf.stack([tf.cast(seed, tf.int32), tf.constant(_NAME, tf.int32)])
    for part in (restart, index):
        key = tf.random.experimental.stateless_fold_in(
            key, tf.cast(part, tf.int32), alg=_GENERATOR
        )
    return key


def _uniform(key, shape):
    """Uniform numbers in (0, 1), float32.

    Made of whole numbers: TensorFlow's floats of one key depend on XLA.
    """
    bits = tf.random.stateless_uniform(
        shape, key, minval=None, maxval=None, dtype=tf.uint32, alg=_GENERATOR
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
    keys = tf.unstack(tf.random.split(key, 2, alg=_GENERATOR))
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
