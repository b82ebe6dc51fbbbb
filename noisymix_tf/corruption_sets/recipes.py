"""What one corrupted set is made of: a name and all that decides its pixels.

A recipe is small and picklable, so that worker processes can be given one.
"""

import dataclasses

from noisymix_tf import corruptions


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One corruption at some severities, or one perturbation.

    Attributes:
        suite: `"c"` or `"p"`.
        name: Of the corruption or perturbation.
        levels: The severities, or the one difficulty.
        options: Further arguments of `corruptions.corrupt` or `perturb`.
    """

    suite: str
    name: str
    levels: tuple
    options: dict

    @property
    def stem(self):
        """The released name: `fog`, `gaussian_noise`, `gaussian_noise_2`."""
        if self.suite == "c" or self.levels == (1,):
            return self.name
        return f"{self.name}_{self.levels[0]}"

    def item_shape(self, image_shape):
        """Shape of what one image becomes: `(H, W, C)` or `(T, H, W, C)`."""
        if self.suite == "c":
            return tuple(image_shape)
        entry = corruptions.PERTURBATIONS.get(self.name)
        side = self.options["crop"]
        size = image_shape[:2] if side is None else (side, side)
        return entry.frames[self.options["table"]], *size, image_shape[2]

    def make(self, images, indices, level):
        """uint8 `[B, *item_shape]` of images `[B, H, W, C]` at their places."""
        if self.suite == "c":
            make, level = corruptions.corrupt, {"severity": level}
        else:
            make, level = corruptions.perturb, {"difficulty": level}
        return make(images, self.name, indices=indices, **level, **self.options)
