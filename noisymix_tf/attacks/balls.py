"""The sets that perturbations come from: balls of a norm around zero.

A new norm is one more entry of the registry. Perturbations are float32
`[B, H, W, C]`, each image on its own; radii are in the units of the pixels.
"""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from noisymix_tf.attacks import draws
from noisymix_tf.registry import Registry

BALLS = Registry("norm")


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


def _clip(perturbation, eps):
    return tf.clip_by_value(perturbation, -eps, eps)


def _draw_in_cube(key, shape, eps):
    return eps * (2.0 * draws.uniform(key, shape) - 1.0)


def _unit(gradient):
    # Divided by its largest value first: squares of tiny or of huge gradients
    # leave the range of float32.
    largest = tf.reduce_max(tf.abs(gradient), axis=[1, 2, 3], keepdims=True)
    scaled = tf.math.divide_no_nan(gradient, largest)
    return tf.math.divide_no_nan(scaled, _length(scaled))


def _shrink(perturbation, eps):
    ratio = tf.math.divide_no_nan(eps, _length(perturbation))
    inside = _length(perturbation) <= eps
    return tf.where(inside, perturbation, perturbation * ratio)


def _draw_in_sphere(key, shape, eps):
    direction_key, radius_key = draws.split(key)
    normal = draws.normal(direction_key, shape)
    size = tf.cast(tf.size(normal), tf.float32)
    # The share of a ball's volume within radius r grows as r**size.
    radius = draws.uniform(radius_key, []) ** (1.0 / size)
    return eps * radius * _unit(normal[None])[0]


def _length(x):
    return tf.sqrt(tf.reduce_sum(x * x, axis=[1, 2, 3], keepdims=True))


BALLS.register("linf")(Ball(tf.sign, _clip, _draw_in_cube, lambda size: 1.0))
BALLS.register("l2")(
    Ball(_unit, _shrink, _draw_in_sphere, lambda size: size**0.5)
)
