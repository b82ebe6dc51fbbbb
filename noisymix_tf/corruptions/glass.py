"""Pixels copied from nearby ones, one after the other: rough glass."""

import numpy as np

from noisymix_tf.corruptions.filters import gaussian_filter


def behind_glass(images, deviation, reach, offsets):
    """The part of `glass_blur` that comes after the draws.

    Args:
        images: uint8 `[B, H, W, C]`.
        deviation: Of the blurs before and after, in pixels.
        reach, offsets: As in `scatter`.

    Returns:
        float64 `[B, H, W, C]`.
    """
    smooth = gaussian_filter(images / 255.0, deviation)
    scattered = scatter((smooth * 255).astype(np.uint8), offsets, reach)
    return gaussian_filter(scattered / 255.0, deviation)


def scatter(images, offsets, reach):
    """Overwrites pixels, from the last to the first, by a neighbour's value.

    A pixel may copy one that has been overwritten before, and so on: the passes
    follow such chains to their ends instead of visiting the pixels in turn. A
    border of `reach` pixels at the bottom and right, and of one more at the top
    and left, is copied from but not overwritten.

    Args:
        images: uint8 `[B, H, W, C]`.
        offsets: int `[B, P, H - 2 * reach, W - 2 * reach, 2]`: for P passes,
            how many rows down and columns right of the pixel `(row + reach + 1,
            column + reach + 1)` the neighbour lies, -reach to reach.
        reach: Largest offset.

    Returns:
        uint8 `[B, H, W, C]`.
    """
    batch, height, width, channels = images.shape
    pixels = images.reshape(-1, channels)
    places = np.arange(batch * height * width).reshape(batch, height, width)
    inside = slice(reach + 1, height - reach + 1)
    inside = (slice(None), inside, slice(reach + 1, width - reach + 1))
    overwritten = np.zeros(places.shape, bool)
    overwritten[inside] = True
    overwritten = overwritten.ravel()
    for index in range(offsets.shape[1]):
        steps = offsets[:, index, ..., 0].astype(np.intp) * width
        steps += offsets[:, index, ..., 1]
        source = places.copy()
        source[inside] += steps
        chained = np.zeros(places.shape, bool)
        chained[inside] = steps > 0
        pixels = pixels[
            _chain_ends(source.ravel(), chained.ravel(), overwritten)
        ]
    return pixels.reshape(images.shape)


def _chain_ends(source, chained, overwritten):
    """Where the value of every pixel comes from in the end, int `[N]`.

    Each round doubles the number of links that have been followed.
    """
    chained &= overwritten[source]
    pending = np.flatnonzero(chained)
    while pending.size:
        neighbour = source[pending]
        goes_on = chained[neighbour]
        source[pending] = source[neighbour]
        chained[pending] = goes_on
        pending = pending[goes_on]
    return source
