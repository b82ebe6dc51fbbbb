"""Pictures of ice for frost: drawn by formula, or from the user's own folder.

Five are drawn: a film of ice on a pane, two of rime made of blades, and two of
fern-shaped crystals. Brightness, tint, contrast and its share over large
distances are those of the five photographs that the benchmark's makers laid
over images, as far as these can be read off what their code wrote.
"""

import functools
import hashlib

import numpy as np

from noisymix_tf import pictures
from noisymix_tf.corruptions.filters import plasma

_HEIGHT, _WIDTH = 512, 768
# Drawn larger and reduced, so that edges are smooth.
_OVERSAMPLING = 2
_WHAT = "picture of frost"


def _film(generator):
    """Wrinkles and grain of a thin film, lit from the upper left."""
    height = _standard(_clouds(generator, 1.45))
    for _ in range(6):
        wrinkle = np.abs(_standard(_clouds(generator, 1.6)))
        height += 0.4 * np.exp(-10 * wrinkle)
    lit = np.diff(height, axis=0, append=height[-1:])
    lit += np.diff(height, axis=1, append=height[:, -1:])
    return _standard(lit).clip(-2.5, 2.5)


def _blades(generator):
    """Long blades across each other, in bundles of similar direction."""
    count, bundles = 9000, 400
    bundle = generator.integers(0, bundles, count)
    centres = generator.uniform(0, 1, [bundles, 2])[bundle]
    centres = centres * [_WIDTH, _HEIGHT] + generator.normal(0, 26, [count, 2])
    angles = generator.uniform(0, np.pi, bundles)[bundle]
    along = _direction(angles + generator.normal(0, 0.25, count))
    across = along[:, ::-1] * [-1, 1]
    length = generator.lognormal(np.log(24), 0.5, [count, 1])
    breadth = generator.uniform(1.0, 5.0, [count, 1])
    side = centres + generator.uniform(-0.4, 0.4, [count, 1]) * length * along
    reach, spread = length * along, breadth * across
    corners = [centres + reach, side + spread, centres - reach, side - spread]
    greys = generator.normal(200, 42, count).clip(40, 255)
    return _drawing(150, [(corners, greys, None)])


def _ferns(generator):
    """Stems with branches at 60 degrees that carry branches of their own."""
    count, strokes = 900, []
    roots = generator.uniform(0, 1, [count, 2]) * [_WIDTH, _HEIGHT]
    angles = generator.uniform(0, 2 * np.pi, count)
    lengths = generator.lognormal(np.log(45), 0.5, count)
    greys = generator.uniform(90, 255, count)
    for width, branches in ((3, 13), (2, 6), (1, 0)):
        tips = roots + lengths[:, None] * _direction(angles)
        strokes.append(([roots, tips], greys, width))
        # Pairs of side branches, the shorter the nearer to the tip.
        share = (np.arange(branches) + 0.5) / branches
        share = np.tile(np.repeat(share, 2), len(roots))
        sides = np.tile([1.0, -1.0], branches * len(roots))
        roots, angles, lengths, greys = (
            np.repeat(each, 2 * branches, axis=0)
            for each in (roots, angles, lengths, greys)
        )
        count = len(roots)
        roots = roots + (share * lengths)[:, None] * _direction(angles)
        angles = angles + sides * np.pi / 3 + generator.normal(0, 0.06, count)
        lengths = lengths * (1 - share) * generator.uniform(0.25, 0.6, count)
        greys = (greys + generator.normal(0, 25, count)).clip(30, 255)
    return _drawing(70, strokes)


def _drawing(background, strokes):
    """Draws lines of a width, or polygons; float64 `[H, W]`, 0 to 255."""
    from PIL import Image, ImageDraw

    size = _WIDTH * _OVERSAMPLING, _HEIGHT * _OVERSAMPLING
    canvas = Image.new("L", size, background)
    pen = ImageDraw.Draw(canvas)
    for corners, greys, width in strokes:
        points = np.concatenate(corners, axis=1) * _OVERSAMPLING
        for shape, grey in zip(points.tolist(), greys.astype(int).tolist()):
            if width is None:
                pen.polygon(shape, fill=grey)
            else:
                pen.line(shape, fill=grey, width=width)
    return np.asarray(canvas.reduce(_OVERSAMPLING), np.float64)


# What is drawn; means of red, green and blue, 0 to 255, their standard
# deviation, and the share of the variance that is over large distances.
_ICES = (
    (_film, (75.0, 147.0, 164.0), 20.0, 0.6),
    (_ferns, (196.0, 200.0, 210.0), 24.0, 0.3),
    (_ferns, (198.0, 203.0, 212.0), 23.0, 0.3),
    (_blades, (143.0, 158.0, 170.0), 32.0, 0.35),
    (_blades, (100.0, 111.0, 123.0), 40.0, 0.3),
)


@functools.lru_cache(maxsize=8)
def textures(folder=None) -> tuple[np.ndarray, ...]:
    """Pictures of frost in a folder, or those drawn: uint8 `[H, W, 3]` each.

    Raises:
        UsageError: If the folder holds no picture, or one that is broken.
    """
    if folder is None:
        return tuple(_drawn(*ice, seed) for seed, ice in enumerate(_ICES))
    paths = pictures.paths_in(folder, _WHAT)
    return tuple(pictures.read(path, _WHAT) for path in paths)


def fingerprint(folder) -> str:
    """Eight hexadecimal digits that tell one set of pictures from another."""
    digest = hashlib.sha256()
    for picture in textures(folder):
        digest.update(repr(picture.shape).encode())
        digest.update(picture.tobytes())
    return digest.hexdigest()[:8]


def _drawn(draw, mean, spread, share, seed):
    generator = np.random.Generator(np.random.Philox(key=seed))
    crystals = _standard(draw(generator))
    clouds = _standard(_clouds(generator, 2.2))
    mixed = np.sqrt(share) * clouds + np.sqrt(1 - share) * crystals
    # Dark pictures have bright crystals on them, and bright ones dark gaps.
    tone = 1 - np.mean(mean) / 155
    mixed = _standard(np.exp(tone * _standard(mixed).clip(-3, 3)) / tone)
    picture = mean + spread * mixed[..., None]
    return picture.clip(0, 255).round().astype(np.uint8)


def _clouds(generator, smoothness):
    side = 1 << (max(_HEIGHT, _WIDTH) - 1).bit_length()
    field = plasma(generator.random([1, side * side - 1]), smoothness)
    return field[0, :_HEIGHT, :_WIDTH]


def _standard(values):
    return (values - values.mean()) / values.std()


def _direction(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)
