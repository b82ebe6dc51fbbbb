"""Images seen through a map of the plane: affine or projective, bilinear.

A matrix maps places of the new image to places of the old one. Affine maps are
made here and applied by `pictures.Pictures`; `project` rounds as the other tool
does that the benchmark's makers took.
"""

import numpy as np


def about_centre(linear, shape, centre=None):
    """A linear map `[2, 2]` that keeps the centre of the image in place.

    The centre is the true one, half the sides: there left and right, and top
    and bottom, are treated alike, and today's tools agree. The released
    CIFAR-10-P may have been made about the point half a pixel further right
    and down, as tools of its time did.

    Args:
        linear: `[2, 2]`, from new to old.
        shape: Of the images, `[..., H, W, C]`.
        centre: (x, y) instead of the true one.

    Returns:
        `[2, 3]`.
    """
    if centre is None:
        centre = shape[-2] / 2, shape[-3] / 2
    # Not a matrix product: that may fuse its operations, and the last bit
    # decides whether a pixel at the very centre becomes darker by one level.
    offset = np.array(centre) - (linear * np.array(centre)).sum(axis=1)
    return np.column_stack([linear, offset])


def magnified(shape, factor):
    """The affine map `[2, 3]` of a magnification about the centre."""
    return about_centre(np.eye(2) / factor, shape)


def project(images, matrix):
    """Resamples images through a projective map.

    Whole numbers are centres of pixels. Sources are rounded to 1/32 of a pixel
    and outside of the image all is black, as OpenCV up to version 4 does; so
    the result is exact in whole numbers.

    Args:
        images: uint8 `[B, H, W, C]`.
        matrix: `[3, 3]`, from new to old (x, y, 1), up to a factor.

    Returns:
        uint8 `[B, H, W, C]`.
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
    half = 512  # Of the 1024 that the four weights add up to.
    total = np.full(
        (len(images), height * width, images.shape[-1]), half, np.int32
    )
    for below in (0, 1):
        for beside in (0, 1):
            weight = (right if beside else 32 - right) * (
                down if below else 32 - down
            )
            source = corner + below * stride + beside
            weight = weight.astype(np.int32)[:, None]
            total += weight * pixels.take(source, axis=1)
    return (total >> 10).astype(np.uint8).reshape(images.shape)
