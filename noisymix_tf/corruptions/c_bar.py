"""What the corruptions of CIFAR-10-C-bar and ImageNet-C-bar share.

Mintun, Kirillov and Xie (2021), "On Interaction Between Augmentations and
Corruptions in Natural Corruption Robustness": ten corruptions each that look
unlike the fifteen of -C and are as hard. Whoever has learnt robustness, and not
the likeness of -C, does as well on them. Definitions and constants:
github.com/facebookresearch/augmentation-corruption at ba4d5a5, imagenet_c_bar.

Lengths are shares of the shorter side. The families are ours.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from noisymix_tf.corruptions.core import CORRUPTIONS


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A corruption in two parts: what is random, and what is done with it.

    Attributes:
        draw: `draw(generator, shape, level)`: a tuple, of an image (H, W, C).
        change: `change(image, *draws)`: pixels of 0 to 255, still to be clipped
            and truncated.
    """

    draw: Callable
    change: Callable

    def __call__(self, images, level, streams) -> np.ndarray:
        changed = np.empty_like(images)
        for place, (image, generator) in enumerate(zip(images, streams)):
            draws = self.draw(generator, image.shape, level)
            changed[place] = self.change(image, *draws).clip(0, 255)
        return changed


def bar(name, draw, **attributes) -> Callable:
    """A decorator of what changes an image: a corruption of C-bar."""
    add = CORRUPTIONS.register(name, c_bar=True, **attributes)

    def file(change):
        add(Drawn(draw, change))
        return change

    return file


def side(shape) -> int:
    """The shorter side of an image."""
    return min(shape[:2])


def places(shape) -> np.ndarray:
    """Rows and columns of all pixels, float `[2, H, W]`."""
    return np.indices(shape[:2]).astype(float)


def sampled(image, rows, columns) -> np.ndarray:
    """An image at places `[H, W]` between its pixels; outside it is black."""
    height, width = image.shape[:2]
    # A rim of two black pixels: all that lies outside is seen on it.
    padded = np.pad(image.astype(float), ((2, 2), (2, 2), (0, 0)))
    rows = np.clip(rows, -2, height) + 2
    columns = np.clip(columns, -2, width) + 2
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    upper = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    top = top + 1
    lower = padded[top, left] * (1 - right) + padded[top, left + 1] * right
    return upper * (1 - down) + lower * down
