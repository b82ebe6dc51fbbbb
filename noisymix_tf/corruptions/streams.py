"""Random streams: one generator per image, the same in any batch."""

import zlib

import numpy as np


def stream_key(seed, name, severity):
    """Mixes what the images of a cell share into a key, uint64 `[2]`."""
    entropy = [seed, zlib.crc32(name.encode()), severity]
    return np.random.SeedSequence(entropy).generate_state(2, np.uint64)


class Streams:
    """One random generator per image of a batch, made only when iterated.

    A stream depends on (seed, corruption, severity, index of the image) and on
    nothing else, so an image gets the same pixels in any batch. The generator
    is counter-based (Philox; Salmon et al., 2011): the first three make its key
    and the index is the top word of its counter, so that streams of different
    images cannot overlap.

    Args:
        key: uint64 `[2]`, from `stream_key`.
        indices: int `[B]`, the place of every image in its dataset.
    """

    def __init__(self, key, indices):
        self.key = key
        self.indices = np.asarray(indices, np.uint64)

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, block):
        return type(self)(self.key, self.indices[block])

    def __iter__(self):
        for index in self.indices:
            counter = np.array([0, 0, 0, index], np.uint64)
            yield np.random.Generator(
                np.random.Philox(key=self.key, counter=counter)
            )

    def draw(self, sample):
        """Stacks `sample(generator)` over the images."""
        return np.stack([sample(generator) for generator in self])
