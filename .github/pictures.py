"""Draws the pictures of README from two finished runs, or that of corruptions.

python .github/pictures.py runs/baseline runs/quickstart
python .github/pictures.py corruptions
"""

import pathlib
import sys

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from sklearn import datasets

import noisymix_tf as nm
from noisymix_tf.mixing.noise import feature_noise

FOLDER = pathlib.Path(__file__).parent / "pictures"
KINDS = (
    "clean",
    "gaussian_noise",
    "defocus_blur",
    "motion_blur",
    "snow",
    "frost",
    "fog",
    "contrast",
    "pixelate",
)
SEVERITY, SHOWN = 5, (1, 3, 5)
NAMES, LAM, SIDE = ("flower", "china"), 0.75, 160
MEAN, STD = nm.models.IMAGENET_MEAN, nm.models.IMAGENET_STD
RIGHT, WRONG = "#1a7f37", "#cf222e"


def main(baseline, noisymix):
    """Writes views.png and robustness.png."""
    digits = nm.data.load("digits")
    images, labels = next(digits.test.batches(len(digits.test)))
    models = {
        "baseline": keras.models.load_model(f"{baseline}/model.keras"),
        "NoisyMix": keras.models.load_model(f"{noisymix}/model.keras"),
    }
    robustness(images, labels, models)
    views()


def robustness(images, labels, models):
    """An image of each kind, what models say of it, and of all images."""
    figure, axes = plt.subplots(1, len(KINDS), figsize=(9, 1.9), dpi=120)
    for place, (axis, kind) in enumerate(zip(axes, KINDS)):
        shown = images
        if kind != "clean":
            shown = nm.corruptions.corrupt(images, kind, SEVERITY, seed=0)
        axis.imshow(shown[place])
        axis.set_title(kind.replace("_", "\n"), fontsize=8)
        axis.set(xticks=[], yticks=[])
        for line, (name, model) in enumerate(models.items()):
            said = model.predict(shown, verbose=0).argmax(-1)
            is_right = said == labels
            words = f"{said[place]}   {100 * is_right.mean():.0f} %"
            colour = RIGHT if is_right[place] else WRONG
            height, style = -0.22 - 0.24 * line, {"fontsize": 9}
            at = {"transform": axis.transAxes, "ha": "center", **style}
            axis.text(0.5, height, words, color=colour, **at)
            if not place:
                at["ha"] = "right"
                axis.text(-0.15, height, name, color="black", **at)
    figure.subplots_adjust(0.09, 0.25, 0.995, 0.8, 0.08)
    figure.savefig(FOLDER / "robustness.png")


def _square(photo):
    return tf.image.resize(photo[:, 106:533], [SIDE, SIDE]).numpy().astype("u1")


def views():
    """A photograph, its views, and what the network gets where it mixes them.

    Photographs of scikit-learn, by danielbuechele and vultilion, CC BY 2.0.
    """
    photos = [_square(datasets.load_sample_image(f"{n}.jpg")) for n in NAMES]
    made = nm.augment.augmix_views(np.stack(photos), seed=[0, 5], num_views=3)
    flower, china = np.asarray(made, np.float32) / 255
    mixed = (LAM * flower + (1 - LAM) * china - MEAN) / STD
    levels = [0.5, 1.0, 1.5], [0.5, 0.5, 0.5]
    mixed = tf.constant(mixed[:, None], tf.float32)
    noisy = feature_noise(mixed, [0, 0], *levels, 0.65)[:, 0]
    rows = {"views": flower, "mixed,\nwith noise": noisy * STD + MEAN}
    figure, axes = plt.subplots(2, 3, figsize=(4.2, 2.7), dpi=120)
    for place, (name, row) in enumerate(rows.items()):
        for view, axis in zip(row, axes[place]):
            axis.imshow(np.clip(view, 0, 1))
            axis.axis("off")
        at = {"transform": axes[place, 0].transAxes, "ha": "right"}
        axes[place, 0].text(-0.05, 0.5, name, fontsize=8, va="center", **at)
    for axis, name in zip(axes[0], ("clean", "AugMix", "AugMix")):
        axis.set_title(name, fontsize=8)
    figure.subplots_adjust(0.16, 0.01, 0.995, 0.92, 0.02, 0.04)
    figure.savefig(FOLDER / "views.png")


def corruptions():
    """A photograph of 224 pixels under each corruption, at three severities.

    Photograph of scikit-learn, by danielbuechele, CC BY 2.0.
    """
    photo = datasets.load_sample_image("china.jpg")[:, 106:533]
    photo = tf.image.resize(photo, [224, 224]).numpy().astype("u1")[None]
    figure, axes = plt.subplots(5, 3, figsize=(8.4, 5.4), dpi=120)
    for axis, name in zip(axes.flat, nm.corruptions.names("common")):
        made = [nm.corruptions.corrupt(photo, name, s, seed=0) for s in SHOWN]
        axis.imshow(np.concatenate(made, 2)[0])
        axis.set_title(name.replace("_", " "), fontsize=8, pad=3)
        axis.axis("off")
    figure.subplots_adjust(0.005, 0.005, 0.995, 0.965, 0.03, 0.13)
    how = {"quality": 85, "optimize": True}
    figure.savefig(FOLDER / "corruptions.jpg", pil_kwargs=how)


if __name__ == "__main__":
    corruptions() if sys.argv[1:] == ["corruptions"] else main(*sys.argv[1:])
