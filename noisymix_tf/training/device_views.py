"""Views that the train step makes itself, on the device that it runs on.

The functions, their seeds and so the views are those of the input pipeline
(`noisymix_tf.augment.batch_views`); only the place differs. On several devices
each makes the views of its own part of the batch, and draws what it would draw
in the whole batch.
"""

import functools
import types

import keras
import tensorflow as tf

from noisymix_tf.augment import batch_views
from noisymix_tf.errors import UsageError


class MakesViews:
    """The part of a trainer that makes views: a base of its class."""

    def _set_augmentation(self, augment, standard):
        self.augment = augment
        self.standard = standard
        # What cannot be saved is found before training.
        self._augmentation_config()

    def views_of(self, inputs, step=None):
        """The views of a batch, as a step trains on them.

        Args:
            inputs: What `fit` takes as inputs.
            step: The step; by default the one that comes next.

        Returns:
            What `standard` and `augment` make of the inputs; without them, the
            inputs.
        """
        if self.augment is None and self.standard is None:
            return inputs
        return _make(
            inputs,
            # Of a model without a graph it is unknown.
            len(self._input.shape) if self._input is not None else 4,
            seed=self.seed,
            step=self.step if step is None else step,
            standard=self.standard,
            augment=self.augment,
        )

    def _augmentation_config(self):
        """What `get_config` says of the functions that are in use."""
        functions = {"augment": self.augment, "standard": self.standard}
        return {
            name: serialize(name, function)
            for name, function in functions.items()
            if function is not None
        }

    @staticmethod
    def _augmentation_from(config):
        """Takes the functions out of a configuration."""
        names = {"augment", "standard"} & config.keys()
        return {name: deserialize(config.pop(name)) for name in names}


def _make(images, rank, *, seed, step, standard, augment):
    """Makes the views of the images that this replica holds.

    Args:
        images: Batch `[B, ...]`, or `[B, 1, ...]` as `nm.data.views` gives it
            where it makes no views.
        rank: Number of axes of a batch without views.
        seed: The run's seed, an int.
        step: The step, a scalar.
        standard: As for `batch_views`.
        augment: As for `batch_views`.

    Returns:
        Views `[B, V, ...]`.

    Raises:
        UsageError: The batch has several views already.
    """
    if len(images.shape) == rank + 1 and images.shape[1] == 1:
        images = images[:, 0]
    if len(images.shape) != rank:
        raise UsageError(
            f"The trainer was given standard or augment and makes the views "
            f"itself, but the batch of shape {images.shape} has views already; "
            f"leave them out of the pipeline or out of NoisyMix."
        )
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        shard = (0, 1)
    else:
        shard = (context.replica_id_in_sync_group, context.num_replicas_in_sync)
    return batch_views(
        images,
        seed=seed,
        step=step,
        standard=standard,
        augment=augment,
        shard=shard,
    )


def serialize(name, function):
    """The configuration of a function, as JSON has it.

    Args:
        name: What the function is for, to be named in the error.
        function: None, a function that can be found by its name,
            `functools.partial` of one with keywords, or a callable Keras
            object.

    Returns:
        None, a dict of `"function"` and `"options"`, or what Keras makes of it.

    Raises:
        UsageError: The function cannot be found by its name.
    """
    if function is None:
        return None
    if isinstance(function, functools.partial):
        if not function.args:
            return {
                "function": serialize(name, function.func),
                "options": dict(function.keywords),
            }
    elif isinstance(function, types.FunctionType):
        registered = keras.saving.get_registered_name(function)
        nameless = "<" in function.__qualname__
        if registered != function.__name__ or not nameless:
            return keras.saving.serialize_keras_object(function)
    elif callable(function) and hasattr(function, "get_config"):
        return keras.saving.serialize_keras_object(function)
    raise UsageError(
        f"{name}={function!r} cannot be saved with the trainer; give a "
        f"function from the top of a module (no lambda), or functools.partial "
        f"of one with its options by name."
    )


def deserialize(config):
    """The function of a configuration that `serialize` gave.

    Args:
        config: What `serialize` returned.

    Returns:
        The function, or None.
    """
    if isinstance(config, dict) and config.keys() == {"function", "options"}:
        return functools.partial(
            deserialize(config["function"]), **config["options"]
        )
    return keras.saving.deserialize_keras_object(config)
