"""A batch as Pillow images: what the benchmark's makers did with that tool.

A matrix maps places (x, y) of the new image to places of the old one.
"""

import numpy as np


class Pictures:
    """Images, uint8 `[B, H, W, C]`, to be changed as often as one likes."""

    def __init__(self, images):
        from PIL import Image

        self._shape = images.shape
        # Pillow takes grey images without an axis for the channel.
        planes = images[..., 0] if images.shape[-1] == 1 else images
        self._pictures = [Image.fromarray(plane) for plane in planes]

    def changed(self, change):
        """Stacks `change(picture)`, which keeps size and mode, of all."""
        changed = np.empty(self._shape, np.uint8)
        for place, picture in enumerate(self._pictures):
            result = np.asarray(change(picture))
            changed[place] = result.reshape(self._shape[1:])
        return changed

    def affine(self, matrix, nearest=False):
        """Resamples all images through an affine map.

        Pillow counts from the corner of the corner pixel. A pixel whose source
        lies outside of the image becomes black; at the border the last pixel is
        repeated, not mixed with black.

        Args:
            matrix: `[2, 3]`, from new to old.
            nearest: Takes the nearest pixel instead of four.
        """
        from PIL import Image

        filters = Image.Resampling
        choice = filters.NEAREST if nearest else filters.BILINEAR
        _, height, width, _ = self._shape
        numbers = tuple(np.ravel(matrix).tolist())
        return self.changed(
            lambda picture: picture.transform(
                (width, height), Image.Transform.AFFINE, numbers, choice
            )
        )


def about_centre(linear, shape):
    """The map `[2, 3]` that is linear, `[2, 2]`, about the centre of images.

    The centre is the true one, half the sides: there left and right, and top
    and bottom, are treated alike, and today's tools agree. The released
    CIFAR-10-P may have been made about the point half a pixel further right
    and down, as tools of its time did.
    """
    centre = np.array([shape[-2] / 2, shape[-3] / 2])
    # Not a matrix product: that may fuse its operations, and the last bit
    # decides whether a pixel at the very centre becomes darker by one level.
    offset = centre - (linear * centre).sum(axis=1)
    return np.column_stack([linear, offset])


def magnified(shape, factor):
    """The affine map `[2, 3]` of a magnification about the centre."""
    return about_centre(np.eye(2) / factor, shape)
