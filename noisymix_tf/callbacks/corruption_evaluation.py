"""Accuracy on corrupted images in the course of training."""

import functools
import itertools
import os
from concurrent import futures

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import corruptions as corruptions_lib
from noisymix_tf.checks import class_numbers, is_whole, whole_number
from noisymix_tf.corruptions import selection
from noisymix_tf.data import Dataset, Split
from noisymix_tf.data.classes import balanced_indices
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.predictor import Predictor, count_outputs
from noisymix_tf.models.unwrap import classifier_of, evaluation_weights

METRICS = "corruption_accuracy", "clean_accuracy"
# Images that a thread corrupts at a time.
_BLOCK = 20


class CorruptionEvaluation(keras.callbacks.Callback):
    """Measures the accuracy on corrupted images every few epochs.

    It puts two metrics into `logs`: `val_corruption_accuracy`, the mean over
    all corruptions and severities as `noisymix_tf.evaluate` measures it, and
    `val_clean_accuracy` on the same images as they are. Put it before the
    callbacks that shall see them, such as `BestCheckpoint`, `EarlyStopping`
    (with `mode="max"`) or `TensorBoard`.

    Args:
        data, labels: uint8 images `[N, H, W, C]` with labels `[N]` or `[N, K]`;
            or, alone, a `noisymix_tf.data.Dataset` (its test split), a `Split`,
            or a finite `tf.data.Dataset` of batches `(images, labels)`.
        corruptions: Names, or a tag of `corruptions.names` such as `"noise"`,
            or `"all"`; `None` means all common ones.
        severities: Which of 1 to 5.
        every_epochs: Measure at the ends of epochs number `every_epochs`, twice
            that, and so on, also where a run is continued.
        max_examples: So many images, of every class the same number, always
            the same ones; `None` for all.
        batch_size: Images per forward pass.
        seed, table: Of the corruptions, as in `corruptions.corrupt`.
        prefix: `"shifted_"` gives `val_shifted_corruption_accuracy`.
        cache: Whether to keep the corrupted images (1000 of all fifteen
            corruptions take 46 MB at 32 pixels, 2.3 GB at 224), or to make
            them anew for each measurement and hold one corruption at a time.
        per_corruption: Whether to log `val_corruption_accuracy_fog`... too.

    Raises:
        UsageError: A bad argument; from `fit`, a model that does not fit.

    >>> images, labels = np.zeros([9, 32, 32, 3], np.uint8), np.arange(9) % 3
    >>> every_five = CorruptionEvaluation(images, labels, "noise", (1, 5), 5)
    >>> stop = keras.callbacks.EarlyStopping("val_corruption_accuracy")
    >>> callbacks = [every_five, stop]  # Of `fit`.
    """

    def __init__(
        self,
        data,
        labels=None,
        corruptions=None,
        severities=(3,),
        every_epochs=1,
        max_examples=1000,
        batch_size=250,
        seed=0,
        table=None,
        prefix="",
        cache=True,
        per_corruption=False,
    ):
        super().__init__()
        self._every_epochs = whole_number("every_epochs", every_epochs, 1)
        self._batch_size = whole_number("batch_size", batch_size, 1)
        self._seed, self._table = seed, table or "auto"
        self._names = [f"val_{prefix}{name}" for name in METRICS]
        self._per_corruption, self._classifier = per_corruption, None
        levels = [severities] if is_whole(severities) else severities
        self._cells = [
            (name, severity)
            for name in selection.corruption_names(corruptions)
            for severity in selection.severity_levels(levels)
        ]
        self._images, self._labels, self._places = balanced_examples(
            data, labels, max_examples
        )
        for cell in self._cells:
            # One image each: whatever else cannot be used is found now.
            self._corrupt(*cell, slice(1))
        self._made = functools.cache(self._make) if cache else self._make

    def set_model(self, model):
        super().set_model(model)
        if self._classifier is classifier_of(model):
            return
        self._classifier, images = classifier_of(model), self._images[:1]
        # Found out before hours of training, not after the first epoch.
        outputs = count_outputs(self._classifier, images) or 0
        self._predictor = Predictor(
            self._classifier,
            max(2, outputs, int(self._labels.max()) + 1),
            images,
            self._batch_size,
            check_finite=False,
        )

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None and (epoch + 1) % self._every_epochs == 0:
            with evaluation_weights(self.model):
                logs.update(self.measure())

    def measure(self) -> dict[str, float]:
        """The metrics of the model as it is, by name."""
        rows, (name, clean) = {}, self._names
        for cell in self._cells:
            accuracy = self._accuracy(self._made(*cell))
            rows.setdefault(f"{name}_{cell[0]}", []).append(accuracy)
        means = {key: float(np.mean(row)) for key, row in rows.items()}
        metrics = {name: float(np.mean(list(means.values())))}
        metrics[clean] = self._accuracy(self._images)
        return metrics | (means if self._per_corruption else {})

    def _accuracy(self, images):
        outputs = self._predictor(images)
        # An image whose outputs are not finite is not recognised.
        sound = np.isfinite(outputs).all(axis=-1)
        return float(np.mean(sound & (outputs.argmax(axis=-1) == self._labels)))

    def _make(self, *cell):
        """All images under one corruption, uint8 `[n, H, W, C]`."""
        starts = range(0, len(self._labels), _BLOCK)
        parts = [slice(start, start + _BLOCK) for start in starts]
        corrupt = functools.partial(self._corrupt, *cell)
        with futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
            return np.concatenate([*pool.map(corrupt, parts)])

    def _corrupt(self, name, severity, part):
        return corruptions_lib.corrupt(
            self._images[part],
            name,
            severity,
            self._seed,
            table=self._table,
            indices=self._places[part],
        )


def balanced_examples(
    source, labels=None, most=None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A class-balanced part of what `CorruptionEvaluation` takes.

    Returns uint8 `[n, H, W, C]`, class numbers and places, int64 `[n]`, in the
    order of the source; see `balanced_indices`.
    """
    if most is not None:
        whole_number("max_examples", most, 1)
    has_labels = isinstance(source, Dataset | Split | tf.data.Dataset)
    if has_labels == (labels is not None):
        raise UsageError(
            f"A {type(source).__name__} came with{'out' * (not has_labels)} "
            f"labels: give them beside an array of images, not beside a "
            f"noisymix_tf.data Dataset or Split, or a tf.data.Dataset."
        )
    source, places = getattr(source, "test", source), itertools.count()
    if isinstance(source, Split):
        # Chosen first, so that no other image is decoded.
        chosen = _chosen(source.labels, most)
        batches, places = source.subset(chosen).batches(256), iter(chosen)
    else:
        batches = _pairs(source) if has_labels else [(source, labels)]
    kept = None
    for images, own, *_ in batches:
        own = class_numbers(own, len(images))
        part = images, own, np.fromiter(places, np.int64, len(own))
        if kept is not None:
            part = [np.concatenate(pair) for pair in zip(kept, part)]
        # Of a long stream no more than what is wanted is held: an example that
        # is left out among some is left out among more.
        chosen = _chosen(part[1], most)
        kept = [np.asarray(array)[chosen] for array in part]
    if kept is None or not len(kept[1]):
        raise UsageError("There are no images to measure on: give some.")
    return kept


def _chosen(labels, most):
    if most is None or most >= len(labels):
        return np.arange(len(labels))
    return balanced_indices(labels, most)


def _pairs(stream):
    """Batches of a stream as NumPy arrays: images, labels, whatever else."""
    spec = stream.element_spec
    is_endless = stream.cardinality() == tf.data.INFINITE_CARDINALITY
    if is_endless or not isinstance(spec, tuple) or len(spec) < 2:
        what = "is endless: add .take(...)" if is_endless else f"holds {spec}"
        raise UsageError(
            f"The tf.data.Dataset of images to measure on {what}; expected "
            f"finitely many batches of (images, labels)."
        )
    return stream.as_numpy_iterator()
