"""What is measured of a classifier of points: accuracy and smoothness."""

import io
import json
import zipfile
from typing import NamedTuple

import contourpy
import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically

# Half the side of the square in which the boundary is measured and drawn: the
# curve with room around it.
EXTENT = 2.5
_GRID = 301


class Measures(NamedTuple):
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
    """`Measures` of a classifier on test `Points`, and a map.

    `probability` is a differentiable function from a float32 tensor `[N, 2]` to
    the probability of class 1, `[N]`. The map are the probabilities on the grid
    of `axis()`, float32 `[G, G]`, the second coordinate along the rows.
    """
    x = tf.constant(test.x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        p = probability(x)
    gradient = tape.gradient(p, x)
    grid = np.stack(np.meshgrid(axis(), axis()), axis=-1)
    field = probability(grid.reshape(-1, 2)).numpy().reshape(grid.shape[:2])
    contours = contourpy.contour_generator(axis(), axis(), field)
    sides = (np.diff(line, axis=0) for line in contours.lines(0.5))
    lengths = (np.linalg.norm(each, axis=1).sum() for each in sides)
    return Measures(
        accuracy=float(np.mean((p.numpy() > 0.5) == (test.y == 1))),
        gradient_norm=float(tf.reduce_mean(tf.norm(gradient, axis=1))),
        boundary_length=float(sum(lengths)),
    ), field


def axis():
    """Coordinates of the map, float32 `[G]`, the same in both directions."""
    return np.linspace(-EXTENT, EXTENT, _GRID, dtype=np.float32)


def write(path, found, field):
    """Keeps what `measure` gave; sixteen bits are enough for a picture."""
    file = io.BytesIO()
    text = json.dumps(found._asdict())
    np.savez_compressed(file, measures=text, map=field.astype(np.float16))
    write_atomically(path, file.getvalue())


def read(path):
    """What `write` has kept; a damaged file is a `UsageError`."""
    try:
        with np.load(path) as file:
            found = Measures(**json.loads(str(file["measures"])))
            return found, file["map"].astype(np.float32)
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path} is damaged ({error}): remove it, and give the same "
            f"command again."
        ) from error
