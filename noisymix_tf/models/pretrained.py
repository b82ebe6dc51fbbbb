"""Training begins from a trained classifier: its network, made anew."""

import contextlib
import dataclasses
from collections.abc import Iterator

from noisymix_tf import private
from noisymix_tf.errors import UsageError, one_line
from noisymix_tf.lazy import keras
from noisymix_tf.models.common import layer_seed
from noisymix_tf.models.graph import Graph, head_of, is_weighted
from noisymix_tf.options import Options, option
from noisymix_tf.probabilities import LOGITS, SOFTMAX, ending

NO_WEIGHTS, IMAGENET = "none", "imagenet"
# Of layers, what has to be the number of classes.
_COUNTS = {"Dense": "units", "Conv2D": "filters"}


@dataclasses.dataclass(frozen=True)
class PretrainedConfig(Options):
    """What training begins from."""

    init: str | None = option(
        None,
        "A trained classifier to begin from, in place of model: a .keras or "
        ".h5 file, or the directory of a run.",
        first=True,
        address=True,
        exists=True,
    )
    init_head: str | None = option(
        None,
        "Layer of init that scores the classes: keep, or new; by default it is "
        "kept where it is known to be for the same classes, or as many.",
        choices=("keep", "new"),
    )
    weights: str = option(
        NO_WEIGHTS,
        "Of a model applications/NAME: imagenet (downloaded), a .weights.h5 or "
        ".h5 file, or none. A head for other classes is new.",
    )


@contextlib.contextmanager
def default_seeds(seed) -> Iterator[None]:
    """Within it Keras' default seeds come from a seed of our own.

    They are drawn from the generator of Python, which is as before behind it.
    """
    generator = private.python_random
    before = generator.getstate()
    generator.seed(layer_seed(seed, "pretrained"))
    try:
        yield
    finally:
        generator.setstate(before)


def adapted(
    model, num_classes, *, seed=0, new_head=False, name="The model"
) -> "keras.Model":
    """A classifier made anew for training, with the weights of another.

    It gives float32 logits: a final softmax is taken off. Its layers have the
    dtype policy that new ones have by default, but for those of pixels and the
    head, which are float32; all of them are trainable.

    Args:
        model: A functional or Sequential Keras model of images, which stays as
            it is; models may be nested in it.
        num_classes: The number of logits.
        seed: Integer of at least 0, of a new head's weights and of all that is
            drawn in training, such as dropout.
        new_head: Whether the head is new though it has as many classes; one for
            other classes always is.
        name: What a `UsageError` calls the model, if it cannot be made.

    >>> import keras
    >>> layers = keras.layers.Flatten(), keras.layers.Dense(10, "softmax")
    >>> model = keras.Sequential([keras.Input([8, 8, 1]), *layers])
    >>> adapted(model, num_classes=3).output_shape
    (None, 3)
    """
    try:
        head = head_of(model)
    except UsageError as error:
        raise UsageError(f"{name} cannot be trained: {error}") from error
    rebuilder = _Rebuilder(model, head, num_classes, seed)
    is_new = new_head or num_classes != model.outputs[0].shape[-1]
    try:
        with default_seeds(seed):
            made = _cloned(model, rebuilder.rebuild)
        for old, new in rebuilder.layers:
            if not (is_new and old is head):
                new.set_weights(old.get_weights())
    except UsageError:
        raise
    except Exception as error:  # Whatever layers of a user lead to.
        raise UsageError(
            f"{name} cannot be made anew ({one_line(error)}): each of its "
            f"layers needs a get_config that its class can be built from."
        ) from error
    if ending(made) != LOGITS:
        raise UsageError(
            f"{name} ends in {ending(made) or 'what is not known'}: give a "
            f"classifier that ends in logits or in softmax."
        )
    for layer in made._flatten_layers():
        # Models in it, too, which a layer's configuration does not reach.
        layer.trainable = True
    return made


def _cloned(model, rebuild):
    """A model of one tensor for another, of any batch, of rebuilt layers."""
    images = keras.Input(model.inputs[0].shape[1:], name="images")
    if isinstance(model, keras.Sequential):
        return keras.models.clone_model(model, images, rebuild, recursive=True)
    # It may take a list or a dict of one, and give one.
    inputs = keras.tree.map_structure(lambda _: images, model.input)
    made = keras.models.clone_model(model, inputs, rebuild, recursive=True)
    return keras.Model(images, made.outputs[0], name=model.name)


class _Rebuilder:
    """Makes the layers of a model anew, for `keras.models.clone_model`.

    `layers` are pairs `(old, new)`, in their order.
    """

    def __init__(self, model, head, num_classes, seed):
        steps = Graph(model).steps
        weighted = [i for i, s in enumerate(steps) if is_weighted(s)]
        self._behind = {id(s.operation) for s in steps[weighted[-1] + 1 :]}
        self._exact = {id(s.operation) for s in steps[: weighted[0]]}
        self._exact |= self._behind | {id(head)}
        self._head, self._seed, self.layers = head, seed, []
        self._counts = model.outputs[0].shape[-1], num_classes

    def rebuild(self, operation):
        """Another operation of the same configuration, or nearly."""
        if id(operation) in self._behind and is_softmax(operation):
            name = f"{operation.name}_off"
            return keras.layers.Activation("linear", name=name, dtype="float32")
        if not isinstance(operation, keras.layers.Layer):
            return type(operation).from_config(operation.get_config())
        exact = id(operation) in self._exact
        policy = "float32" if exact else keras.config.dtype_policy()
        config = _anew(policy, operation.get_config())
        number = f"layer {len(self.layers)}"
        if "seed" in config:
            config["seed"] = layer_seed(self._seed, number)
        if operation is self._head:
            config = self._for_classes(config, number)
        if id(operation) in self._behind and "target_shape" in config:
            before, now = self._counts
            shape = config["target_shape"]
            config["target_shape"] = [now if s == before else s for s in shape]
        made = type(operation).from_config(config)
        self.layers.append((operation, made))
        return made

    def _for_classes(self, config, number):
        """The head's configuration, where it gives logits of the classes."""
        if is_softmax(self._head):
            config["activation"] = "linear"
        before, now = self._counts
        count, kind = _COUNTS.get(type(self._head).__name__), type(self._head)
        if count is None and before != now:
            raise UsageError(
                f"The head {self._head.name!r} is a {kind.__name__}, which "
                f"cannot be made for {now} classes in place of {before}: give "
                f"a model that ends in Dense."
            )
        if count is not None:
            config[count] = now
        for key, law in config.items():
            options = law.get("config") if isinstance(law, dict) else None
            if key.endswith("_initializer") and "seed" in (options or ()):
                options["seed"] = layer_seed(self._seed, f"{number}/{key}")
        return config


def _anew(policy, config):
    """A layer's configuration, and those in it: its dtype policy; trainable."""
    if isinstance(config, dict):
        if str(config.get("class_name")).endswith("DTypePolicy"):
            policy = keras.dtype_policies.get(policy)
            return keras.dtype_policies.serialize(policy)
        values = {key: _anew(policy, value) for key, value in config.items()}
        return values | ({"trainable": True} if "trainable" in values else {})
    if isinstance(config, list | tuple):
        return type(config)(_anew(policy, value) for value in config)
    return config


def is_softmax(operation) -> bool:
    """Whether a layer is a softmax, or ends in one."""
    activation = getattr(operation, "activation", None)
    kinds = type(operation), activation if callable(activation) else None
    names = [getattr(kind, "__name__", "") for kind in kinds]
    names.append(type(activation).__name__)
    return SOFTMAX in map(str.lower, names)
