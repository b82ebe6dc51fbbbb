"""What one corrupted set is made of: a name and all that decides its pixels.

A recipe is small and picklable, so that worker processes can be given one.
"""

import dataclasses

from noisymix_tf import corruptions


@dataclasses.dataclass(frozen=True)
class Corrupted:
    """One corruption at some severities.

    Attributes:
        name: Of the corruption.
        levels: The severities.
        seed, table, frost_folder: As in `corruptions.corrupt`.
    """

    name: str
    levels: tuple
    seed: int
    table: str
    frost_folder: str | None

    @property
    def stem(self):
        """The name of its file or folder."""
        return self.name

    def item_shape(self, image_shape):
        """Shape of what one image becomes at one level."""
        return tuple(image_shape)

    def make(self, images, indices, level):
        """uint8 `[B, H, W, C]` of images `[B, H, W, C]` at their places."""
        return corruptions.corrupt(
            images,
            self.name,
            level,
            self.seed,
            table=self.table,
            indices=indices,
            frost_folder=self.frost_folder,
        )


@dataclasses.dataclass(frozen=True)
class Perturbed:
    """One perturbation, whose frames replace the image.

    Attributes:
        name: Of the perturbation.
        difficulty, seed, table, crop: As in `corruptions.perturb`.
    """

    name: str
    difficulty: int
    seed: int
    table: str
    crop: int | None

    @property
    def levels(self):
        """The difficulty that its pixels are of, alone."""
        entry = corruptions.PERTURBATIONS.get(self.name)
        return (entry.level(self.difficulty),)

    @property
    def stem(self):
        """The released name: `gaussian_noise`, then `gaussian_noise_2`."""
        (level,) = self.levels
        return self.name if level == 1 else f"{self.name}_{level}"

    def item_shape(self, image_shape):
        """`(T, H, W, C)`."""
        height, width, channels = image_shape
        if self.crop is not None:
            height = width = self.crop
        entry = corruptions.PERTURBATIONS.get(self.name)
        return (entry.frames[self.table], height, width, channels)

    def make(self, images, indices, level):
        """uint8 `[B, T, H, W, C]` of images `[B, H, W, C]`."""
        return corruptions.perturb(
            images,
            self.name,
            self.seed,
            table=self.table,
            indices=indices,
            difficulty=level,
            crop=self.crop,
        )
