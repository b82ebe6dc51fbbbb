"""Shifted images of the same classes: published sets, and folders of one's own.

Such sets seldom have all classes of the dataset. The model chooses among those
that are there, and the clean images of the same classes are measured likewise,
so that the two accuracies can be compared (Hendrycks et al., 2021, "The Many
Faces of Robustness", section 4).
"""

import os
import re

import numpy as np

from noisymix_tf.data import identity, released
from noisymix_tf.data.classes import balanced_indices
from noisymix_tf.data.shifts import SHIFTS
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.images import Images, require
from noisymix_tf.evaluation.sections import Figure, Section, distinct
from noisymix_tf.evaluation.suites import core
from noisymix_tf.evaluation.suites.core import SUITES, Column, Suite, Task
from noisymix_tf.places import check_local

_SEVERAL = (
    "images without a right class are left out; of several right ones that "
    "counts which the model scores highest."
)


@SUITES.register("r")
class Shifts(Suite):
    """Shifted sets, and for each the clean images of its classes."""

    adapts = True
    options = ("adapt", "prior", "r_dir", "shift_dir", "released_preprocess")
    columns = (
        Column("accuracy"),
        Column("clean_accuracy", "{label}, clean", is_main=False),
    )

    def tasks(self, job) -> list[Task]:
        sets = shifted_sets(job.settings.shift_dir).items()
        paths = {f"shift_{name}" if name else "shift": p for name, p in sets}
        if job.settings.r_dir is not None:
            paths = {"r": job.settings.r_dir} | paths
        if not paths:
            raise UsageError(
                "Suite r needs images: give r_dir (ImageNet-R) or shift_dir (a "
                "folder for each class, named as in the dataset)."
            )
        return [t for name in paths for t in _tasks(job, name, paths[name])]

    def sections(self, scores, context) -> list[Section]:
        return [
            _section({c: s for c, s in scores.items() if c.corruption == name})
            for name in distinct(cell.corruption for cell in scores)
        ]

    def group(self, cell) -> str:
        return f"{cell.corruption} {cell.setting}"


def shifted_sets(shift_dir) -> dict:
    """`{name: path}` of the option `shift_dir`.

    Args:
        shift_dir: A path, whose name is `""`; `"art:DIR,sketch:DIR"`, unless
            there is such a path; a dict of these; or None.

    Raises:
        UsageError: A name that is none, or is there twice.
    """
    if shift_dir is None:
        return {}
    pairs, text = [("", shift_dir)], str(shift_dir)
    if isinstance(shift_dir, dict):
        pairs = list(shift_dir.items())
    elif not text.startswith("tfds:") and "://" not in text:
        if ":" in text and not os.path.exists(text):
            pairs = [word.partition(":")[::2] for word in text.split(",")]
    check_local(shift_dir=[path for _, path in pairs])
    names = [name for name, _ in pairs]
    for name, path in pairs if names != [""] else ():
        known = re.fullmatch(r"[\w-]+", name, re.ASCII)
        if not known or not path or names.count(name) > 1:
            raise UsageError(
                f"shift_dir={shift_dir!r}: {name!r} is no name of its own, of "
                "letters, digits, _ and -, with a folder: give DIR, or "
                "NAME:DIR,NAME:DIR."
            )
    return dict(pairs)


def _tasks(job, name, path):
    """The shifted images, and the clean ones of their classes."""
    how = {"preprocess": job.settings.released_preprocess}
    if name.startswith("shift_"):
        how["name"] = name.removeprefix("shift_")
    shifted = released.shifted_images(path, job.like, **how)
    classes, clean = np.asarray(shifted.classes), job.images.split
    words, labels = f"{len(classes)} classes", tuple(shifted.classes)
    own = f"{job.dataset.name}, shifted", len(classes), str(shifted.preprocess)
    images = Images(shifted.split, *own, job.settings.examples, labels)
    right = shifted.right
    if right is not None and images.n < images.available:
        chosen = balanced_indices(shifted.split.labels, images.n)
        right = [right[place] for place in chosen]
    number = _number(clean, classes)
    if not number:
        raise UsageError(
            f"None of the {job.images.n:,} clean images is of the {words} of "
            f"{path}: measure more examples."
        )
    # Images of one's own are as they are, like the dataset's.
    is_published = name == "r" or shifted.title
    fields = {"source": "released" if is_published else "original"}
    fields |= {"setting": f"shifted {words}", "images": images}
    data = identity.of(clean).labelled((*job.dataset.class_names, *labels))
    beside = {"n": number, "data": str(data), "setting": f"clean {words}"}
    beside["available"] = _number(job.dataset.test, classes)
    return [
        Task(
            job.cell("r", name, **fields), images, classes=classes, right=right
        ),
        Task(job.cell("r", name, **beside), job.images, classes=classes),
    ]


def _number(split, classes):
    need = "Suite r measures the clean images of some classes"
    require(split, need, "labels", "subset")
    return int(np.isin(split.labels, classes).sum())


def _section(scores):
    parts = {cell.setting.split()[0]: cell for cell in scores}
    cell, number = parts["shifted"], f"{parts['clean'].n:,}"
    own, clean = scores[cell], scores[parts["clean"]].accuracy
    count, name = cell.setting.split()[1], cell.corruption
    label = name.removeprefix("shift_")
    title, words = f"Shifted images: {label}", ", from a folder of one's own"
    if name == "shift":
        title, label = "Shifted images", "Shifted"
    short, notes = label, []
    if cell.source == "released":
        of = SHIFTS.get(label, SHIFTS["imagenet_r"])
        title = short = of.title
        label, words = "R" if name == "r" else title, ", from released files"
        notes = [_SEVERAL] if of.right else []
    of_clean = f"clean accuracy among the same ({number} images)"
    return Section(
        **core.about(cell, title, words, label=label) | {"name": name},
        figures=core.whole(
            own,
            f"accuracy among {count} classes",
            Figure("clean_accuracy", of_clean, clean),
            Figure("gap", "gap", clean - own.accuracy),
        ),
        cells={
            part: core.json_values(scores[cell], by_class=True)
            for part, cell in parts.items()
        },
        notes=(
            *notes,
            f"outputs of other classes than these {count} are left out before "
            "the largest is taken.",
        ),
        headlines={f"{short} accuracy": "accuracy"},
        overview={short: {f"{count} classes": own.accuracy}},
    )
