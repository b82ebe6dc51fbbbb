"""Worker's side of a tree: corrupt some images and write their files."""

import io
import os

# The released ImageNet-C are JPEGs of this quality.
JPEG_QUALITY = 85
SUFFIXES = {"jpeg": ".JPEG", "png": ".png"}

_OPTIONS = {"jpeg": {"quality": JPEG_QUALITY, "optimize": True}, "png": {}}


def make_files(recipe, image_format, images, places, files):
    """Makes images at the levels they lack; returns the number of files.

    Args:
        recipe: `Recipe` of suite c.
        image_format: `"jpeg"` or `"png"`.
        images: uint8 `[B, H, W, 3]`.
        places: int `[B]`, their places in the dataset.
        files: For every image a dict from level to the `Path` to write.
    """
    for level in sorted({level for each in files for level in each}):
        chosen = [i for i, each in enumerate(files) if level in each]
        made = recipe.make(images[chosen], places[chosen], level)
        for i, image in zip(chosen, made):
            save(image, files[i][level], image_format)
    return sum(map(len, files))


def save(image, path, image_format):
    """Writes an image; the file takes its name when it is complete.

    Args:
        image: uint8 `[H, W, 3]`.
        path: `pathlib.Path`; its folder is made.
        image_format: `"jpeg"` or `"png"`.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, image_format, **_OPTIONS[image_format])
    # Not waited for until it is on the disk, as `write_atomically` does: with
    # millions of small files this would take hours.
    partial = path.with_name(f".{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(buffer.getvalue())
    os.replace(partial, path)
