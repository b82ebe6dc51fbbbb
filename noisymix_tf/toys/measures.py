"""What is measured of a classifier of points: accuracy and smoothness."""

import dataclasses

import numpy as np
import tensorflow as tf

# Half the side of the square in which the boundary is measured and drawn: the
# curve with room around it.
EXTENT = 2.5
_GRID = 301


@dataclasses.dataclass(frozen=True)
class Measures:
    """Figures of one classifier.

    Attributes:
        accuracy: Share of the test points that it gets right.
        gradient_norm: Mean over the test points of the Euclidean norm of the
            gradient of the probability.
        boundary_length: Length of the line where the probability is one half,
            in the square `[-EXTENT, EXTENT]` on both axes.
    """

    accuracy: float
    gradient_norm: float
    boundary_length: float


def measure(probability, test):
    """Measures a classifier.

    Args:
        probability: Function from a float32 tensor `[N, 2]` to the probability
            of class 1, `[N]`, differentiable.
        test: `Points`.

    Returns:
        `(Measures, map)`, the second as `probability_map` gives it.
    """
    x = tf.constant(test.x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        p = probability(x)
    gradient = tape.gradient(p, x)
    field = probability_map(probability)
    return Measures(
        accuracy=float(np.mean((p.numpy() > 0.5) == (test.y == 1))),
        gradient_norm=float(tf.reduce_mean(tf.norm(gradient, axis=1))),
        boundary_length=contour_length(axis(), field, 0.5),
    ), field


def of_network(model):
    """The probability of class 1 of a model that gives two logits."""
    return lambda x: tf.nn.softmax(model(x, training=False))[:, 1]


def axis():
    """Coordinates of the map, float32 `[G]`, the same in both directions."""
    return np.linspace(-EXTENT, EXTENT, _GRID, dtype=np.float32)


def probability_map(probability):
    """Probabilities on a regular grid of the square.

    Returns:
        float32 `[G, G]`, the second coordinate along the rows.
    """
    grid = np.stack(np.meshgrid(axis(), axis()), axis=-1)
    return probability(grid.reshape(-1, 2)).numpy().reshape(grid.shape[:2])


def contour_length(coordinates, field, level):
    """Length of a contour line of a function on a square grid.

    Args:
        coordinates: `[G]`, of both directions.
        field: `[G, G]`, values of the function.
        level: Value on the line.
    """
    import contourpy

    lines = contourpy.contour_generator(coordinates, coordinates, field)
    return float(
        sum(
            np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
            for line in lines.lines(level)
        )
    )
