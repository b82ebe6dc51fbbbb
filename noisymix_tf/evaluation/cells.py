"""One measurement that there is to make: who is measured on what."""

import dataclasses

from noisymix_tf.data import identity


@dataclasses.dataclass(frozen=True)
class Cell:
    """Equal cells are the same measurement.

    Attributes:
        dataset: Name of the dataset.
        suite: Name of the suite: `"clean"`, `"c"`, `"p"`...
        corruption: What was done to the images, or which ones they are: a
            corruption, a perturbation, a shifted set; None for nothing.
        severity: 1 to 5, or the difficulty of a perturbation; 0 where there is
            none.
        source: `"original"` (the images as they are), `"generated"` (corrupted
            here) or `"released"` (read from published files).
        n: Number of images, or of sequences.
        model: Fingerprint of the model.
        outputs: What the model gives, `"logits"` or `"probabilities"`.
        data: Identity of the images as they reach the model.
        seed: Seed of what was generated; None where nothing was.
        generator: Version of what generated; None where nothing did.
        setting: Whatever else was chosen, in words: `"linf eps=4/255"`.
        preprocess: What is done to images on reading, such as
            `"resize256-crop224"`.
        available: How many images there are, of which n are measured.
    """

    dataset: str
    suite: str
    corruption: str | None
    severity: int
    source: str
    n: int
    model: str
    data: str
    outputs: str = ""
    seed: int | None = None
    generator: str | None = None
    setting: str | None = None
    preprocess: str = "as_stored"
    available: int | None = None

    @property
    def name(self):
        """Short name for messages: `"cifar10/c/fog/3"`."""
        parts = [self.dataset, self.suite]
        if self.corruption is not None:
            parts.append(self.corruption)
        if self.severity:
            parts.append(str(self.severity))
        if self.setting is not None:
            parts.append(self.setting)
        return "/".join(parts)

    @property
    def key(self):
        """Hash of all fields, 16 hexadecimal digits."""
        return identity.short(*dataclasses.astuple(self))
