"""A batch as Pillow images: what the benchmark's makers did with that tool."""

import numpy as np


class Pictures:
    """A batch of images, to be changed by Pillow as often as one likes.

    Args:
        images: uint8 `[B, H, W, C]`, C = 1 or 3.
    """

    def __init__(self, images):
        from PIL import Image

        self._shape = images.shape
        # Pillow takes grey images without an axis for the channel.
        planes = images[..., 0] if images.shape[-1] == 1 else images
        self._pictures = [Image.fromarray(plane) for plane in planes]

    def changed(self, change):
        """Stacks `change(picture)` of all, which keeps size and mode.

        Args:
            change: Function from a Pillow image to another.

        Returns:
            uint8 `[B, H, W, C]`.
        """
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
            matrix: `[2, 3]` or `[3, 3]`, from new to old (x, y).
            nearest: Takes the nearest pixel instead of four.

        Returns:
            uint8 `[B, H, W, C]`.
        """
        from PIL import Image

        filters = Image.Resampling
        choice = filters.NEAREST if nearest else filters.BILINEAR
        _, height, width, _ = self._shape
        numbers = tuple(np.ravel(matrix)[:6].tolist())
        return self.changed(
            lambda picture: picture.transform(
                (width, height), Image.Transform.AFFINE, numbers, choice
            )
        )
