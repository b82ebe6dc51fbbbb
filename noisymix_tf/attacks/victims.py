"""The attacked model: what it puts out, and its compiled attacks.

Both are kept as long as the model lives: a victim refers to it weakly.
"""

import contextlib
import functools
import inspect
import weakref
from collections.abc import Callable

import numpy as np

from noisymix_tf import probabilities
from noisymix_tf.attacks.search import BALLS, LOSSES, check_scores, search
from noisymix_tf.checks import input_dtype
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras, tf

_VICTIMS = weakref.WeakKeyDictionary()


def victim(model) -> "Victim":
    """The `Victim` of a model, the same one for every call if it can be."""
    if not callable(model):
        raise UsageError(
            f"An attack takes a Keras model or a function of images, got "
            f"{type(model).__name__}: load the model first."
        )
    try:
        if model not in _VICTIMS:
            _VICTIMS[model] = Victim(weakref.ref(model))
        return _VICTIMS[model]
    except TypeError:  # It cannot be a key of a weak dictionary.
        return Victim(lambda: model)


class Victim:
    """A model, given as a function that returns it, as attacks see it."""

    def __init__(self, model):
        self._model = model
        self._attacks = {}
        self._outputs = None
        is_told = isinstance(model(), keras.Layer)
        with contextlib.suppress(TypeError, ValueError):  # No signature.
            is_told |= "training" in inspect.signature(model()).parameters
        self._options = {"training": False} if is_told else {}

    def nature(self, images, from_logits=None) -> tuple[int, bool]:
        """Number of classes, and whether outputs are logits.

        They are computed once, for the first images, float32 `[B, H, W, C]`. A
        `UsageError` says why the model cannot classify them, or that it gives
        what it is not said to give: see `probabilities.gives_logits`.
        """
        input_dtype(self._model(), images.shape[1:])
        if self._outputs is None:
            self._outputs = self._probe(images)
        return self._outputs.shape[-1], probabilities.gives_logits(
            self._model(),
            self._outputs,
            probabilities.SAID[from_logits],
            f"from_logits={from_logits} was given",
        )

    def attack(self, *kind, jit_compile) -> Callable:
        """The compiled search, traced once for each kind of attack.

        It takes images, labels, indices and a `Budget` of tensors. The kind is
        the names of a norm and of a loss; whether the model gives logits,
        searches start at random places, and there are several.
        """
        key = *kind, jit_compile
        if key not in self._attacks:
            self._attacks[key] = tf.function(
                # TensorFlow counts the traces of a function, not of a partial:
                # of many kinds it would warn of retracing.
                functools.partial(self._search, kind),
                jit_compile=jit_compile,
                autograph=False,
                reduce_retracing=True,
            )
        return self._attacks[key]

    def _search(self, kind, images, labels, indices, budget):
        ball, loss, from_logits, random_start, several = kind
        return search(
            functools.partial(self.scores, from_logits),
            images,
            labels,
            indices,
            budget if several else budget._replace(restarts=1),
            ball=BALLS.get(ball),
            loss=LOSSES.get(loss),
            random_start=random_start,
        )

    def scores(self, from_logits, images) -> "tf.Tensor":
        """See `noisymix_tf.probabilities.scores`."""
        outputs = self._model()(images, **self._options)
        return probabilities.scores(outputs, from_logits)

    def _probe(self, images):
        if not getattr(self._model(), "built", True):
            self._model()(tf.constant(images[:1]), **self._options)

        @tf.function(autograph=False)
        def forward(images):
            outputs = self._model()(images, **self._options)
            check_scores(outputs, "choose or wrap the model")
            return tf.cast(outputs, tf.float32)

        outputs = forward(tf.constant(images)).numpy()
        if not np.isfinite(outputs).all():
            raise UsageError(
                "The model's outputs are not finite: its weights or its "
                "normalisation are broken, nothing can be attacked."
            )
        return outputs
