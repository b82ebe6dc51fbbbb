"""Small folders of pictures for tests of trees."""

import json

import numpy as np
from PIL import Image

from support.released_sets import save_image as save

CLASSES = ("cat", "dog")


def picture(seed, size=(24, 24), pixels=8):
    """Smooth random colours, uint8 `[h, w, 3]`."""
    generator = np.random.default_rng(seed)
    small = generator.integers(0, 256, [pixels, pixels, 3], dtype=np.uint8)
    large = Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(large)


def stripes(seed, side=32):
    """Narrow stripes, dark and light ones, uint8 `[side, side, 3]`."""
    colours = np.random.default_rng(seed).integers(0, 90, (2, 3), np.uint8)
    colours[1] = 255 - colours[1]
    return np.tile(colours[np.arange(side) // 2 % 2][:, None], (1, side, 1))


def read(path):
    return np.asarray(Image.open(path))


def make(root, train=3, test=1, size=(24, 24), classes=CLASSES):
    """`train/` and `val/`, so many PNG files of each class."""
    for label, name in enumerate(classes):
        for i in range(train + test):
            path = root / ("train" if i < train else "val") / name / f"{i}.png"
            save(path, picture([label, i], size))
    return root


def make_styles(root, number=3):
    for i in range(number):
        save(root / f"{i}.png", stripes(i))
    return root


def tree(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.glob("*/*"))
    }


def settings(root):
    return json.loads((root / "manifest.json").read_text())["settings"]
