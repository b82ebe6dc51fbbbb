"""Pictures of fractals, to mix images with: colourful, and of nothing at all.

Iterated function systems: a point jumps by one of a few contracting maps, drawn
again and again, and leaves a trace (Barnsley, "Fractals everywhere", 1988). The
maps are drawn as by Anderson and Farrell (2022), "Improving fractal
pre-training", arXiv:2110.03091, whose systems PixMix mixes with.
"""

import numpy as np

from noisymix_tf.sets import layouts, writer

FOLDER = "pictures"
# Points that jump beside each other, and jumps before they are drawn.
_POINTS, _BEFORE = 2048, 24
# Points a pixel.
_DENSITY = 4
_COLUMNS = 6  # Of the sheet.


def fractal(seed, number, size) -> np.ndarray:
    """A picture, uint8 `[size, size, 3]`: a function of seed and number.

    >>> fractal(seed=0, number=7, size=64).shape
    (64, 64, 3)
    """
    generator = np.random.default_rng([seed, number])
    place = np.mgrid[:size, :size] / size
    wave = np.tensordot(generator.normal(0, 1, 2), place, 1)
    picture = 0.6 * _palette(generator)(wave)
    for _ in range(generator.integers(1, 4)):
        count, colour = _traces(generator, size)
        light = (np.log1p(count) / np.log1p(count.max()))[..., None]
        picture = (1 - light) * picture + light * _palette(generator)(colour)
    return np.rint(255 * picture.clip(0, 1)).astype(np.uint8)


def system(generator) -> tuple[np.ndarray, np.ndarray]:
    """Contracting maps `x -> A x + b`, `[N, 2, 2]` and `[N, 2]`, N of 2 to 8.

    Singular values are such that their sum, the smaller counted twice, is
    within (5 + N) / 2 and (6 + N) / 2, where fractals are neither dust nor
    blots.
    """
    number = generator.integers(2, 9)
    wanted = (5 + number + generator.random()) / 2
    while True:
        large = generator.random(number)
        small = large * generator.random(number)
        scale = wanted / (large + 2 * small).sum()
        if scale * large.max() < 1:
            break
    scales = scale * np.stack([large, small], axis=-1)
    turns = _turns(generator.uniform(0, 2 * np.pi, (2, number)))
    mirrors = generator.choice([-1.0, 1.0], (number, 1, 2))
    maps = turns[0] * scales[:, None] @ turns[1] * mirrors
    return maps, generator.uniform(-1, 1, (number, 2))


def _turns(angles):
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _traces(generator, size):
    """How often points were at each pixel, and their mean colour in [0, 1]."""
    maps, shifts = system(generator)
    chances = np.abs(np.linalg.det(maps)) + 1e-3
    chances /= chances.sum()
    own = generator.random(len(maps))
    points, colours = np.zeros((_POINTS, 2)), np.full(_POINTS, 0.5)
    steps = _BEFORE + -(-_DENSITY * size * size // _POINTS)
    found = []
    for chosen in generator.choice(len(maps), (steps, _POINTS), p=chances):
        points = np.einsum("nij,nj->ni", maps[chosen], points) + shifts[chosen]
        colours = (colours + own[chosen]) / 2
        found.append((points, colours))
    points, colours = (np.concatenate(own[_BEFORE:]) for own in zip(*found))
    low, high = np.percentile(points, (1, 99), axis=0)
    unit = 0.05 + 0.9 * (points - low) / np.maximum(high - low, 1e-9)
    is_in = ((unit >= 0) & (unit < 1)).all(axis=1)
    pixels = (unit[is_in] * size).astype(int) @ [size, 1]
    count = np.bincount(pixels, minlength=size * size)
    total = np.bincount(pixels, colours[is_in], minlength=size * size)
    shape = size, size
    return count.reshape(shape), (total / np.maximum(count, 1)).reshape(shape)


def _palette(generator):
    """Colours of a number: a wave in each channel."""
    start, pace = generator.random(3), generator.uniform(0.4, 1.6, 3)
    return lambda x: (
        0.5 + 0.5 * np.cos(2 * np.pi * (x[..., None] * pace + start))
    )


class FractalPart(writer.Part):
    """`pictures/fractal_00000.png` and so on, and a sheet."""

    name = "fractals"

    def __init__(self, number, size, seed):
        self.total, self._how = number, (size, seed)

    def done(self, folder):
        return self.total - len(self._lacking(folder))

    def _lacking(self, folder):
        there = layouts.there(folder.path)
        return [k for k in range(self.total) if _name(k) not in there]

    def write(self, folder, workers):
        lacking, sheet = self._lacking(folder), folder.path / "sheet.png"
        if lacking:  # It may show fewer.
            sheet.unlink(missing_ok=True)
        calls = ((_save, folder.path, place, *self._how) for place in lacking)
        there = self.total - len(lacking)
        for _ in workers.ordered(calls):
            there += 1
            yield there
        if not sheet.exists():
            size, seed = self._how
            number = min(self.total, _COLUMNS)
            rows = min(self.total // number, _COLUMNS)
            shown = np.arange(rows * number).reshape(rows, number)
            columns = [[fractal(seed, k, size) for k in c] for c in shown.T]
            writer.write_sheet(sheet, columns)


def _name(place):
    return f"{FOLDER}/fractal_{place:05}.png"


def _save(root, place, size, seed):
    layouts.save(fractal(seed, place, size), root / _name(place))
