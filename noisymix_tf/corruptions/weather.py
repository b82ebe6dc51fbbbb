"""Weather: snow, frost and fog; the light of day is in `digital`.

Pictures of frost are the user's own, or five that are drawn: a film of ice on a
pane, two of rime made of blades, and two of fern-shaped crystals. Brightness,
tint, contrast and its share over large distances are those of the five
photographs that the benchmark's makers laid over images, as far as these can be
read off what their code wrote.
"""

import functools
import hashlib
from collections.abc import Iterator

import numpy as np

from noisymix_tf import pictures
from noisymix_tf.corruptions.core import CORRUPTIONS, PERTURBATIONS
from noisymix_tf.corruptions.filters import luma, plasma, smeared, zoom_taps
from noisymix_tf.lazy import Image

# Of the pictures of frost that are drawn, larger and then reduced, so that
# edges are smooth.
_SIZE = _HEIGHT, _WIDTH = 512, 768
_OVERSAMPLING = 2
_WHAT = "picture of frost"


@CORRUPTIONS.register(
    "snow",
    family="weather",
    cifar=(
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    imagenet=(
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    tiny=(
        (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
    ),
)
def snow(images, fall, streams) -> np.ndarray:
    """Adds streaks of falling snow and whitens the scene.

    fall: Mean and deviation of a layer of noise, its magnification, the
        value below which there is no flake, radius and deviation of the
        motion, and the share of the image that is not whitened.
    """
    mean, deviation, magnification, threshold, *smear, kept = fall
    shape = images.shape[1:3]
    noise, angles = zip(
        *((g.normal(mean, deviation, shape), g.uniform(-1, 1)) for g in streams)
    )
    scene = _whitened(images.astype(np.float32) / 255, kept)
    layer = _flakes(np.stack(noise), magnification, threshold)
    # Mostly downwards.
    return _fallen(scene, layer, *smear, 45 * np.array(angles) - 90)


@PERTURBATIONS.register(
    "snow",
    family="weather",
    sets=("imagenet", "tiny", "cifar_extra"),
    cifar=(0.3, 2, 10, 2),
    imagenet=(0.3, 3, 14, 4),
    tiny=(0.28, 2, 10, 2.5),
)
def snow_film(images, fall, streams) -> Iterator[np.ndarray]:
    """Flakes fall over a whitened image, every frame into another direction.

    fall: Deviation of the layer of noise that flakes are cut from, and its
        magnification; radius and deviation of the motion.
    """
    spread, magnification, *smear = fall
    shape = images.shape[1:3]
    noise = streams.draw(lambda stream: stream.standard_normal(shape))
    layer = _flakes(0.05 + spread * noise, magnification, threshold=0.5)
    scene = _whitened(images / 255.0, kept=0.85)
    for frame in range(31):
        yield _fallen(scene, layer, *smear, 4 * frame - 150)


def _flakes(noise, magnification, threshold):
    """What is left of magnified noise `[B, H, W]`, uint8 `[B, H, W, 1]`."""
    for axis in (1, 2):
        before, after, share = zoom_taps(noise.shape[axis], magnification)
        share = share[:, None] if axis == 1 else share
        first, second = noise.take(before, axis), noise.take(after, axis)
        noise = (1.0 - share) * first + share * second
    layer = np.where(noise < threshold, 0.0, noise).clip(0.0, 1.0)
    return (layer * 255.0).astype(np.uint8)[..., None]


def _whitened(unit, kept):
    """Mixes in a bright copy, grey in single precision, like lying snow."""
    grey = luma(unit.astype(np.float32))
    white = np.maximum(unit, grey * 1.5 + 0.5)
    return kept * unit + (1 - kept) * white


def _fallen(scene, layer, radius, deviation, angles):
    """Adds the streaks of falling flakes to a scene, to be clipped."""
    layer = smeared(layer, radius, deviation, angles) / 255.0
    # Twice, once upside down, so that one layer makes two kinds of flakes.
    return scene + layer + layer[:, ::-1, ::-1]


def _panes(stride, *weights):
    """The constants of frost, of weights in pairs and of one stride."""
    pairs = zip(weights[::2], weights[1::2])
    return tuple((*pair, stride) for pair in pairs)


@CORRUPTIONS.register(
    "frost",
    family="weather",
    options=("frost_folder",),
    cifar=_panes(5, 1, 0.2, 1, 0.3, 0.9, 0.4, 0.85, 0.4, 0.75, 0.45),
    imagenet=_panes(1, 1, 0.4, 0.8, 0.6, 0.7, 0.7, 0.65, 0.7, 0.6, 0.75),
    tiny=_panes(10 / 3, 1, 0.3, 0.9, 0.4, 0.8, 0.45, 0.75, 0.5, 0.7, 0.55),
)
def frost(images, pane, streams, frost_folder=None) -> np.ndarray:
    """Lays a random part of a random picture of frost over the image.

    pane: Weights of the image and of the picture; by how much the picture
        is made smaller, without smoothing (five: to a fifth of its size).
    frost_folder: Path of a folder of pictures; None for those that the
        library draws.
    """
    clear, icy, stride = pane
    height, width = images.shape[1:3]
    large = _large_enough(height, width, stride, frost_folder)
    parts = []
    for generator in streams:
        picture = large[generator.integers(len(large))]
        row = generator.integers(picture.shape[0] - height)
        column = generator.integers(picture.shape[1] - width)
        parts.append(picture[row : row + height, column : column + width])
    ice = np.stack(parts)
    if images.shape[-1] == 1:
        ice = luma(ice)
    return (clear * images + icy * ice).clip(0, 255).astype(np.uint8)


@functools.lru_cache(maxsize=8)
def _large_enough(height, width, stride, folder):
    """The pictures, thinned out, and enlarged where an image is larger."""
    large = []
    for picture in textures(folder):
        step = min(stride, *picture.shape[:2])  # At least one pixel is left.
        columns, rows = size = tuple(
            len(np.arange(step / 2, side, step))
            for side in picture.shape[1::-1]
        )
        thin = Image.Transform.AFFINE, (step, 0, 0, 0, step, 0)
        picture = Image.fromarray(picture)
        picture = picture.transform(size, *thin, Image.Resampling.BILINEAR)
        scale = max((height + 1) / rows, (width + 1) / columns)
        if scale > 1:
            size = int(np.ceil(columns * scale)), int(np.ceil(rows * scale))
            picture = picture.resize(size)
        large.append(np.asarray(picture))
    return large


@CORRUPTIONS.register(
    "fog",
    family="weather",
    cifar=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    imagenet=((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    tiny=((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
)
def fog(images, clouds, streams) -> np.ndarray:
    """Adds fractal clouds and dims the sum to the image's own maximum.

    The clouds are computed on the smallest square that the image fits in whose
    side is a power of two: 32 for CIFAR, 256 for 224 pixels.

    clouds: Thickness, and smoothness as in `plasma`.
    """
    thickness, smoothness = clouds
    unit = images / 255.0
    brightest = unit.max(axis=(1, 2, 3), keepdims=True)
    clouds = _clouds(streams, images.shape[1:3], smoothness)[..., None]
    return (unit + thickness * clouds) * brightest / (brightest + thickness)


def _film(generator):
    """Wrinkles and grain of a thin film, lit from the upper left."""
    height = _standard(_clouds([generator], _SIZE, 1.45)[0])
    for _ in range(6):
        wrinkle = np.abs(_standard(_clouds([generator], _SIZE, 1.6)[0]))
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
    from PIL import ImageDraw

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
    clouds = _standard(_clouds([generator], _SIZE, 2.2)[0])
    mixed = np.sqrt(share) * clouds + np.sqrt(1 - share) * crystals
    # Dark pictures have bright crystals on them, and bright ones dark gaps.
    tone = 1 - np.mean(mean) / 155
    mixed = _standard(np.exp(tone * _standard(mixed).clip(-3, 3)) / tone)
    picture = mean + spread * mixed[..., None]
    return picture.clip(0, 255).round().astype(np.uint8)


def _clouds(generators, size, smoothness):
    """Fractal clouds `[B, H, W]`, out of a square of a side of 2 ** n."""
    side, (height, width) = 1 << (max(size) - 1).bit_length(), size
    uniform = np.stack([each.random(side**2 - 1) for each in generators])
    return plasma(uniform, smoothness)[:, :height, :width]


def _standard(values):
    return (values - values.mean()) / values.std()


def _direction(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)
