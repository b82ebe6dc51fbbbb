"""Changes of view: translate, rotate, tilt, scale; extra: shear.

Every one passes through the image as it is, or nearly so, half-way. What comes
in from outside of the image is black.
"""

import math

import numpy as np

from noisymix_tf.corruptions.core import EXTRAS, TABLES
from noisymix_tf.corruptions.perturbations.sampling import (
    about_centre,
    magnified,
    project,
)
from noisymix_tf.corruptions.perturbations.sequence import perturbation
from noisymix_tf.corruptions.pictures import Pictures


@perturbation(
    "translate",
    family="geometry",
    sets=TABLES,
    cifar=range(-7, 9),
    imagenet=range(-20, 21),
    tiny=range(-15, 16),
    frames=(16, 41, 31),
    moves=True,
)
def translate(images, offsets, streams):
    """Moves the image by whole pixels, from the left to the right."""
    pictures = Pictures(images)
    for offset in offsets:
        yield pictures.affine([[1, 0, -offset], [0, 1, 0]], nearest=True)


@perturbation(
    "rotate",
    family="geometry",
    sets=TABLES,
    cifar=range(-15, 16),
    imagenet=range(-15, 16),
    tiny=range(-15, 16),
    moves=True,
)
def rotate(images, angles, streams):
    """Turns the image about its centre, by degrees, clockwise."""
    pictures = Pictures(images)
    for angle in angles:
        yield pictures.affine(about_centre(turn(-angle), images.shape))


@perturbation(
    "tilt",
    family="geometry",
    sets=TABLES,
    cifar=0.75,
    imagenet=1.0,
    tiny=1.0,
    moves=True,
)
def tilt(images, step, streams):
    """Turns the image like a page in space, about x and y at once.

    Args:
        images: uint8 `[B, H, W, C]`.
        step: Degrees from frame to frame, from -15 steps to 15.
        streams: Not used.
    """
    height, width = images.shape[1:3]
    for frame in range(-15, 16):
        view = tilted_view(height, width, step * frame)
        yield project(images, np.linalg.inv(view))


@perturbation(
    "scale",
    family="geometry",
    sets=TABLES,
    cifar=tuple((70 + 2 * frame) / 100 for frame in range(31)),
    imagenet=tuple((40 + 2.5 * frame) / 100 for frame in range(31)),
    tiny=tuple((40 + 2.5 * frame) / 100 for frame in range(31)),
    moves=True,
)
def scale(images, factors, streams):
    """Shrinks the image towards its centre, then magnifies it."""
    pictures = Pictures(images)
    for factor in factors:
        yield pictures.affine(magnified(images.shape, factor))


@perturbation(
    "shear",
    family="geometry",
    sets=EXTRAS,
    cifar=range(-15, 16),
    imagenet=range(-15, 16),
    tiny=range(-15, 16),
    moves=True,
)
def shear(images, angles, streams):
    """Leans the image to the side, by degrees."""
    pictures = Pictures(images)
    for angle in angles:
        lean = np.array([[1.0, math.tan(math.radians(angle))], [0.0, 1.0]])
        yield pictures.affine(about_centre(lean, images.shape))


def turn(angle):
    """The matrix `[2, 2]` of a turn by degrees, from x towards y."""
    angle = math.radians(angle)
    return np.array(
        [
            [math.cos(angle), -math.sin(angle)],
            [math.sin(angle), math.cos(angle)],
        ]
    )


def tilted_view(height, width, angle):
    """Where a camera sees a page that is turned about x and y.

    The page is turned about a point one pixel in front of its middle (so that
    even the middle frame is a little smaller than the image) and lies as far
    from the camera as its diagonal is long, which is the focal length too.

    Args:
        height: Of the page, in pixels.
        width: The same.
        angle: Degrees of both turns.

    Returns:
        `[3, 3]`, from places on the page (x, y, 1) to places in the picture.
    """
    distance = np.hypot(height, width)
    cos, sin = turn(angle)[:, 0]
    about_x = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    about_y = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    page = np.array([[1, 0, -width / 2], [0, 1, -height / 2], [0, 0, 1]])
    in_space = about_x @ about_y @ page
    in_space[2, 2] += distance
    camera = [[distance, 0, width / 2], [0, distance, height / 2], [0, 0, 1]]
    return np.array(camera) @ in_space
