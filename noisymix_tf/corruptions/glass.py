"""Glass blur: pixels copied from nearby ones, one after the other."""

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS
from noisymix_tf.corruptions.filters import gaussian_filter


@CORRUPTIONS.register(
    "glass_blur",
    family="blur",
    cifar=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    imagenet=((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    tiny=((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
)
def glass_blur(images, pane, streams):
    """Scatters pixels among their neighbours, blurred before and after.

    The benchmark's makers meant to swap two pixels, but their line copies one
    over the other; and no offset equals plus `reach`. Both are kept, since
    swaps lie clearly farther from the image.

    pane: Deviation of the blurs, largest offset, both in pixels, and the
        number of passes.
    """
    deviation, reach, passes = pane
    height, width = images.shape[1:3]
    shape = [passes, max(height - 2 * reach, 0), max(width - 2 * reach, 0), 2]
    offsets = streams.draw(
        lambda generator: generator.integers(-reach, reach, shape, np.int8)
    )
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
        images: uint8 `[B, H, W, C]`, which is returned, too.
        offsets: int `[B, P, H - 2 * reach, W - 2 * reach, 2]`: for P passes,
            how many rows down and columns right the neighbour lies.
        reach: Largest offset.
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
        ends = _chain_ends(source.ravel(), chained.ravel(), overwritten)
        pixels = pixels[ends]
    return pixels.reshape(images.shape)


def _chain_ends(source, chained, overwritten):
    """Where the value of every pixel comes from in the end, int `[N]`."""
    chained &= overwritten[source]
    pending = np.flatnonzero(chained)
    while pending.size:  # Each round doubles the links that are followed.
        neighbour = source[pending]
        goes_on = chained[neighbour]
        source[pending] = source[neighbour]
        chained[pending] = goes_on
        pending = pending[goes_on]
    return source
