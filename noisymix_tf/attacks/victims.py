"""The attacked model: what it puts out, and its compiled attacks.

Everything compiled for a model is kept as long as the model lives, and no
longer: a victim knows its model by a weak reference only.
"""

import inspect
import weakref

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.attacks import objective
from noisymix_tf.attacks.balls import BALLS
from noisymix_tf.attacks.search import Budget, search
from noisymix_tf.errors import UsageError
from noisymix_tf.probabilities import SAID, gives_logits

_VICTIMS = weakref.WeakKeyDictionary()


def victim(model):
    """The `Victim` of a model, the same one for every call.

    Args:
        model: Keras model or any callable. What cannot be a key of a weak
            dictionary gets a new victim, compiled anew, for every call.

    Raises:
        UsageError: If it cannot be called.
    """
    if not callable(model):
        raise UsageError(
            f"An attack takes a Keras model or a function of images, got "
            f"{type(model).__name__}: load the model first."
        )
    try:
        if model not in _VICTIMS:
            _VICTIMS[model] = Victim(weakref.ref(model))
        return _VICTIMS[model]
    except TypeError:
        return Victim(lambda: model)


class Victim:
    """A model as attacks see it.

    Args:
        model: Function without arguments that returns the model.
    """

    def __init__(self, model):
        self._model = model
        self._takes_training = _takes_training(model())
        self._attacks = {}
        self._outputs = None

    def nature(self, images, from_logits=None):
        """Number of classes, and whether outputs are logits.

        Its outputs are computed once, for the first images; see
        `noisymix_tf.probabilities.gives_logits`.

        Args:
            images: float32 `[B, H, W, C]`, 0..255.
            from_logits: Whether they are said to be logits; None where nothing
                is said.

        Returns:
            `(num_classes, from_logits)`.

        Raises:
            UsageError: If this model cannot classify these images, or what is
                said cannot be.
        """
        _check_size(self._model(), images)
        if self._outputs is None:
            self._outputs = self._probe(images)
        return self._outputs.shape[-1], gives_logits(
            self._model(),
            self._outputs,
            SAID[from_logits],
            f"from_logits={from_logits} was given",
        )

    def attack(
        self, ball, loss, from_logits, random_start, several, jit_compile
    ):
        """The compiled search, traced once for each kind of attack.

        Args:
            ball: Name of a norm.
            loss: Name of a loss.
            from_logits: Whether the model gives logits.
            random_start: Whether searches start at random places.
            several: Whether there is more than one search.
            jit_compile: Whether XLA compiles it.

        Returns:
            Function of images, labels, indices and a `Budget` of NumPy scalars.
        """
        key = (ball, loss, from_logits, random_start, several, jit_compile)
        if key not in self._attacks:

            def attack(images, labels, indices, budget):
                return search(
                    lambda x: objective.scores(self.outputs(x), from_logits),
                    images,
                    labels,
                    indices,
                    budget if several else budget._replace(restarts=1),
                    ball=BALLS.get(ball),
                    loss=objective.LOSSES.get(loss),
                    random_start=random_start,
                )

            # TensorFlow counts traces by code object: one for each kind, or it
            # warns of retracing where there is none.
            attack.__code__ = attack.__code__.replace(co_name=f"attack_{key}")
            self._attacks[key] = tf.function(
                attack,
                jit_compile=jit_compile,
                autograph=False,
                reduce_retracing=True,
            )
        return self._attacks[key]

    def outputs(self, images):
        if self._takes_training:
            return self._model()(images, training=False)
        return self._model()(images)

    def _probe(self, images):
        if not getattr(self._model(), "built", True):
            self.outputs(tf.constant(images[:1]))

        @tf.function(autograph=False)
        def forward(images):
            outputs = self.outputs(images)
            _check_outputs(outputs, images)
            return tf.cast(outputs, tf.float32)

        outputs = forward(tf.constant(images)).numpy()
        if not np.isfinite(outputs).all():
            raise UsageError(
                "The model's outputs are not finite: its weights or its "
                "normalisation are broken, nothing can be attacked."
            )
        return outputs


def budget_of(eps, step_size, steps, restarts, seed):
    """A `Budget` of tensors, so that new values do not trace anew.

    Args:
        eps, step_size: Fractions of the pixels' range.
        steps, restarts, seed: As in `Budget`.
    """
    return Budget(
        tf.constant(255.0 * eps, tf.float32),
        tf.constant(255.0 * step_size, tf.float32),
        *(tf.constant(n, tf.int32) for n in (steps, restarts, seed)),
    )


def _takes_training(model):
    if isinstance(model, keras.Layer):
        return True
    try:
        return "training" in inspect.signature(model).parameters
    except (TypeError, ValueError):
        return False


def _check_size(model, images):
    try:
        (wanted,) = model.inputs
        wanted = tuple(wanted.shape)[1:]
    except (AttributeError, TypeError, ValueError):
        return  # A function or a subclassed model says nothing.
    have = images.shape[1:]
    if len(wanted) != 3 or any(
        want not in (None, size) for want, size in zip(wanted, have)
    ):
        raise UsageError(
            f"The model takes inputs {list(wanted)}, the images have "
            f"{list(have)}: choose a model and images that fit."
        )


def _check_outputs(outputs, images):
    shape = getattr(outputs, "shape", None)
    if not tf.is_tensor(outputs) or (
        shape.rank != 2 or shape[-1] is None or shape[-1] < 2
    ):
        what = type(outputs).__name__ if shape is None else list(shape)
        raise UsageError(
            f"Attacks take a model with one output per class, [B, K] with K "
            f"of at least 2, this one gives {what}: choose or wrap the model."
        )
