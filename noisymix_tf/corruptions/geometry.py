"""Films that change the view: translate, rotate, tilt, scale; extra: shear.

Every one passes through the image as it is, or nearly so, half-way. What comes
in from outside of the image is black.
"""

import functools
import math
from collections.abc import Iterator

import numpy as np

from noisymix_tf.corruptions.core import EXTRAS, PERTURBATIONS, TABLES
from noisymix_tf.corruptions.filters import Pictures, about_centre, magnified

_view = functools.partial(PERTURBATIONS.register, family="geometry", moves=True)
_ANGLES = dict.fromkeys(TABLES, range(-15, 16))
_LARGE_SCALES = tuple((40 + 2.5 * frame) / 100 for frame in range(31))


@_view(
    "translate",
    cifar=range(-7, 9),
    imagenet=range(-20, 21),
    tiny=range(-15, 16),
    frames={"cifar": 16, "imagenet": 41, "tiny": 31},
)
def translate(images, offsets, streams) -> Iterator[np.ndarray]:
    """Moves the image by whole pixels, from the left to the right."""
    views = ([[1, 0, -offset], [0, 1, 0]] for offset in offsets)
    return Pictures(images).seen(views, nearest=True)


@_view("rotate", **_ANGLES)
def rotate(images, angles, streams) -> Iterator[np.ndarray]:
    """Turns the image about its centre, by degrees, clockwise."""
    views = (about_centre(turn(-angle), images.shape) for angle in angles)
    return Pictures(images).seen(views)


@_view("tilt", cifar=0.75, imagenet=1.0, tiny=1.0)
def tilt(images, step, streams) -> Iterator[np.ndarray]:
    """Turns the image like a page in space, about x and y at once.

    step: Degrees from frame to frame, from -15 steps to 15.
    """
    height, width = images.shape[1:3]
    for frame in range(-15, 16):
        view = tilted_view(height, width, step * frame)
        yield project(images, np.linalg.inv(view))


@_view(
    "scale",
    cifar=tuple((70 + 2 * frame) / 100 for frame in range(31)),
    imagenet=_LARGE_SCALES,
    tiny=_LARGE_SCALES,
)
def scale(images, factors, streams) -> Iterator[np.ndarray]:
    """Shrinks the image towards its centre, then magnifies it."""
    views = (magnified(images.shape, factor) for factor in factors)
    return Pictures(images).seen(views)


@_view("shear", sets=EXTRAS, **_ANGLES)
def shear(images, angles, streams) -> Iterator[np.ndarray]:
    """Leans the image to the side, by degrees."""
    leans = (math.tan(math.radians(angle)) for angle in angles)
    linear = (np.array([[1.0, lean], [0.0, 1.0]]) for lean in leans)
    return Pictures(images).seen(about_centre(m, images.shape) for m in linear)


def turn(angle) -> np.ndarray:
    """The matrix `[2, 2]` of a turn by degrees, from x towards y."""
    angle = math.radians(angle)
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def tilted_view(height, width, angle) -> np.ndarray:
    """Where a camera sees a page that is turned about x and y.

    The page is turned about a point one pixel in front of its middle (so that
    even the middle frame is a little smaller than the image) and lies as far
    from the camera as its diagonal is long, which is the focal length too. The
    matrix `[3, 3]` leads from the page (x, y, 1) to the picture.
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


def project(images, matrix) -> np.ndarray:
    """Resamples images through a projective map.

    Whole numbers are centres of pixels. Sources are rounded to 1/32 of a pixel
    and outside of the image all is black, as OpenCV up to version 4 does; so
    the result is exact in whole numbers.

    Args:
        images: uint8 `[B, H, W, C]`, which is returned, too.
        matrix: `[3, 3]`, from new to old (x, y, 1), up to a factor.
    """
    height, width = images.shape[1:3]
    rows, columns = np.mgrid[:height, :width].reshape(2, -1).astype(float)
    x, y, w = matrix @ np.stack([columns, rows, np.ones(height * width)])
    with np.errstate(divide="ignore"):
        scale = np.where(w != 0, 32.0 / w, 0.0)
    x, y = (np.rint(part * scale).astype(np.int64) for part in (x, y))
    # A rim of two black pixels: all that lies outside is seen on it.
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    stride = width + 4
    left = np.clip(x >> 5, -2, width) + 2
    top = np.clip(y >> 5, -2, height) + 2
    pixels = padded.reshape(len(images), -1, images.shape[-1])
    corner, right, down = top * stride + left, x & 31, y & 31
    # Half of the 1024 that the four weights add up to.
    total = np.full((len(images), height * width, images.shape[-1]), 512, "i4")
    for below, weight_down in enumerate((32 - down, down)):
        for beside, weight_right in enumerate((32 - right, right)):
            weight = (weight_down * weight_right).astype(np.int32)[:, None]
            source = corner + below * stride + beside
            total += weight * pixels.take(source, axis=1)
    return (total >> 10).astype(np.uint8).reshape(images.shape)
