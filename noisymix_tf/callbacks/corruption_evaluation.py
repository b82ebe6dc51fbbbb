"""Accuracy on corrupted images in the course of training."""

import concurrent.futures
import os

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import corruptions as corruptions_lib
from noisymix_tf.callbacks import examples
from noisymix_tf.checks import is_whole
from noisymix_tf.corruptions import selection
from noisymix_tf.errors import UsageError
from noisymix_tf.models.unwrap import classifier_of, evaluation_weights

CORRUPTION_ACCURACY = "corruption_accuracy"
CLEAN_ACCURACY = "clean_accuracy"


class CorruptionEvaluation(keras.callbacks.Callback):
    """Measures the accuracy on corrupted images every few epochs.

    It puts two metrics into `logs`: `val_corruption_accuracy`, the mean over
    all corruptions and severities, and `val_clean_accuracy` on the same images
    as they are. Put it before the callbacks that shall see them, such as
    `BestCheckpoint`, `EarlyStopping` (with `mode="max"`) or `TensorBoard`;
    `history.history` and Keras' progress bar have them in any case.

    Images are corrupted as in `noisymix_tf.evaluate`: the same image of the
    same data gets the same pixels, and the accuracy over all images equals
    that of its report. They are made once and kept, which takes n x
    corruptions x severities x H x W x C bytes: 46 MB for 1000 images of 32
    pixels with all fifteen corruptions at one severity, 2.3 GB for 224 pixels.

    Args:
        data: uint8 images `[N, H, W, C]`, pixels 0..255, with `labels`; or a
            `noisymix_tf.data.Dataset` (its test split is measured on), a
            `Split`, or a finite `tf.data.Dataset` of batches `(images,
            labels)`.
        labels: ints `[N]` or one-hot `[N, K]`, for images given as an array.
        corruptions: Names, or a tag of `corruptions.names` such as `"noise"`,
            or `"all"`; `None` means all common ones.
        severities: Which of 1 to 5.
        every_epochs: Epochs between measurements. They are at the ends of
            epochs number `every_epochs`, twice that, and so on, counted from
            the beginning of training, also where a run is continued.
        max_examples: Measure on so many images, of every class the same
            number, always the same ones; `None` for all.
        batch_size: Images per forward pass.
        seed: Seed of the corruptions.
        table: Constants of the severities, as in `corruptions.corrupt`; by
            default those that suit the images' size.
        prefix: Put before the metrics' names, behind `val_`: `"shifted_"`
            gives `val_shifted_corruption_accuracy`.
        cache: Whether to keep the corrupted images. If not, they are made
            anew for each measurement, and one corruption at a time is held.
        per_corruption: Whether to log the accuracy under each corruption too,
            as `val_corruption_accuracy_fog`.

    Raises:
        UsageError: An argument that cannot be used; from `fit`, a model that
            does not fit the images.

    Example:

    >>> model.fit(
    ...     dataset,
    ...     epochs=90,
    ...     callbacks=[
    ...         CorruptionEvaluation(images, labels, every_epochs=5),
    ...         BestCheckpoint("best.keras", "val_corruption_accuracy"),
    ...     ],
    ... )
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
        for name, value in (
            ("every_epochs", every_epochs),
            ("batch_size", batch_size),
        ):
            if not examples.is_count(value):
                raise UsageError(
                    f"{name}={value!r} must be an int of at least 1."
                )
        self._every_epochs = every_epochs
        self._batch_size = batch_size
        self._seed = seed
        self._table = table or "auto"
        self._prefix = f"val_{prefix}"
        self._per_corruption = per_corruption
        self._cells = [
            (name, severity)
            for name in selection.corruption_names(corruptions)
            for severity in selection.severity_levels(
                [severities] if is_whole(severities) else severities
            )
        ]
        self._examples = examples.take(data, labels, max_examples)
        for name, severity in self._cells:
            # One image each: whatever else cannot be used is found now.
            self._corrupt(name, severity, slice(1))
        self._kept = {} if cache else None
        self._predictor = None

    def set_model(self, model):
        super().set_model(model)
        classifier = classifier_of(model)
        if self._predictor is None or self._predictor.model is not classifier:
            self._predictor = _Predictor(classifier, self._batch_size)

    def on_train_begin(self, logs=None):
        # Found out before hours of training, not after the first epoch.
        self._predictor.check(self._examples)

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None and (epoch + 1) % self._every_epochs == 0:
            with evaluation_weights(self.model):
                logs.update(self.measure())

    def measure(self):
        """Returns the metrics of the model as it is, `{name: value}`."""
        accuracy = {}
        for name, severity in self._cells:
            values = accuracy.setdefault(name, [])
            values.append(self._accuracy(self._corrupted(name, severity)))
        means = {name: float(np.mean(row)) for name, row in accuracy.items()}
        name = self._prefix + CORRUPTION_ACCURACY
        metrics = {
            name: float(np.mean(list(means.values()))),
            self._prefix + CLEAN_ACCURACY: self._accuracy(
                self._examples.images
            ),
        }
        if self._per_corruption:
            metrics |= {f"{name}_{key}": mean for key, mean in means.items()}
        return metrics

    def _accuracy(self, images):
        labels = self._examples.labels
        hits = 0
        for start in range(0, len(labels), self._batch_size):
            part = slice(start, start + self._batch_size)
            outputs = self._predictor(images[part])
            # An image whose outputs are not finite is not recognised.
            sound = np.isfinite(outputs).all(axis=-1)
            hits += np.sum(sound & (outputs.argmax(axis=-1) == labels[part]))
        return float(hits / len(labels))

    def _corrupted(self, name, severity):
        """All images under one corruption, uint8 `[n, H, W, C]`."""
        if self._kept is not None and (name, severity) in self._kept:
            return self._kept[name, severity]
        threads = min(os.cpu_count() or 1, 8)
        total = len(self._examples.labels)
        size = -(-total // threads)
        parts = [slice(i, i + size) for i in range(0, total, size)]
        with concurrent.futures.ThreadPoolExecutor(threads) as pool:
            made = pool.map(lambda p: self._corrupt(name, severity, p), parts)
            corrupted = np.concatenate(list(made))
        if self._kept is not None:
            self._kept[name, severity] = corrupted
        return corrupted

    def _corrupt(self, name, severity, part):
        return corruptions_lib.corrupt(
            self._examples.images[part],
            name,
            severity,
            self._seed,
            table=self._table,
            indices=self._examples.positions[part],
        )


class _Predictor:
    """A model's outputs for uint8 images, traced once for one batch size."""

    def __init__(self, model, batch_size):
        self.model = model
        self._batch_size = batch_size
        # A subclassed model says nothing about its inputs.
        self._inputs = getattr(model, "inputs", None) or ()
        dtype = self._inputs[0].dtype if self._inputs else "float32"

        @tf.function(reduce_retracing=True)
        def forward(images):
            outputs = model(tf.cast(images, dtype), training=False)
            return tf.cast(outputs, tf.float32)

        self._forward = forward

    def __call__(self, images):
        missing = self._batch_size - len(images)
        padding = [(0, missing)] + [(0, 0)] * 3
        outputs = self._forward(tf.constant(np.pad(images, padding)))
        return outputs.numpy()[: len(images)]

    def check(self, examples):
        """Raises a `UsageError` if the model does not fit the examples."""
        shape = examples.images.shape[1:]
        for tensor in self._inputs:
            wanted = tuple(tensor.shape)[1:]
            fits = len(wanted) == 3 and all(
                want in (None, have) for want, have in zip(wanted, shape)
            )
            if not fits or len(self._inputs) > 1:
                raise UsageError(
                    f"The model {self.model.name!r} takes {list(wanted)}, the "
                    f"images are {list(shape)}: give CorruptionEvaluation "
                    f"images that the model takes."
                )
        outputs = self(examples.images[: self._batch_size])
        classes = int(examples.labels.max()) + 1
        if outputs.ndim != 2 or outputs.shape[1] < max(2, classes):
            raise UsageError(
                f"The model {self.model.name!r} gives "
                f"{list(outputs.shape[1:])} for an image, the labels are of "
                f"{classes} classes: CorruptionEvaluation needs one output for "
                f"each class."
            )
