"""A Keras classifier as TensorFlow functions, and how far they are from it."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.data.preprocess import Preprocess, decode_image
from noisymix_tf.models.graph import Graph, is_graph
from noisymix_tf.probabilities import scores
from noisymix_tf.serving import reload
from noisymix_tf.serving.signatures import SIGNATURES, encoded
from noisymix_tf.training import segments

# How many of the most probable classes a signature names.
TOP = 5
# Largest accepted difference by how kernels are stored and layers compute:
# rounding to 11 or 8 binary digits moves probabilities by about this much.
TOLERANCES = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
_BATCH = 64


@dataclasses.dataclass(eq=False)
class ServedClassifier:
    """What all signatures of an export call.

    The functions read copies of the model's weights, `variables`, for tracking
    the model would store each twice. Matrices and kernels are stored as
    `weights` says; vectors stay as they are, and so does the computation. Where
    `preprocess` is None, no encoded images are taken.

    Attributes:
        classify: `tf.function` from float32 pixels `[N, H, W, C]` to the dict
            of outputs by name. One function, so that the network is in an
            export once, however many signatures call it.
        features: Function from float32 pixels to the activations that the last
            layer with weights gets, or None where not all paths pass one.
    """

    model: keras.Model
    image_shape: tuple
    from_logits: bool
    labels: list | None
    preprocess: Preprocess | None
    weights: str
    temperature: float = 1.0  # By which logits are divided.

    def __post_init__(self):
        self.variables = [_copy(v, self.weights) for v in self.model.weights]
        pixels = tf.TensorSpec([None, *self.image_shape], tf.float32)
        self.classify = tf.function(self._classify, input_signature=[pixels])
        self._before_last = _penultimate(self.model)
        self.features = self._before_last and self._on_copies(self._before_last)

    @property
    def types(self) -> set[str]:
        """What the layers compute in."""
        return {layer.compute_dtype for layer in self.model._flatten_layers()}

    @property
    def tolerance(self) -> float:
        """By default the largest accepted difference."""
        return max(TOLERANCES.get(t, 0.0) for t in self.types | {self.weights})

    def expected(self, images) -> dict[str, np.ndarray]:
        """What Keras' own model gives of uint8 images."""
        outputs = self._tempered(tf.constant(outputs_of(self.model, images)))
        found = {"probabilities": outputs.numpy()}
        if self.from_logits:
            found["logits"] = found["probabilities"]
            found["probabilities"] = tf.nn.softmax(found["logits"]).numpy()
        if self._before_last:
            found["features"] = outputs_of(self._before_last, images)
        return found

    def _classify(self, images):
        outputs = self._tempered(self._on_copies(self.model)(images))
        results = {"logits": outputs} if self.from_logits else {}
        probabilities = tf.nn.softmax(outputs) if self.from_logits else outputs
        top = tf.math.top_k(probabilities, min(TOP, outputs.shape[-1]))
        results |= {"probabilities": probabilities, "scores": top.values}
        results["classes"] = top.indices
        if self.labels is not None:
            results["labels"] = tf.gather(tf.constant(self.labels), top.indices)
        return results

    def _tempered(self, outputs):
        if self.temperature == 1.0:
            return outputs
        scaled = scores(outputs, self.from_logits) / self.temperature
        return scaled if self.from_logits else tf.nn.softmax(scaled)

    def _on_copies(self, function):
        """`function(images)` in inference, on the copies, in float32."""

        def call(images):
            pairs = zip(self.model.weights, self.variables)
            state = [(own, tf.cast(copy, own.dtype)) for own, copy in pairs]
            with keras.StatelessScope(state_mapping=state):
                return tf.cast(function(images, training=False), tf.float32)

        return call


def differences(
    served, folder, names, images, tolerance, fresh_process
) -> dict[str, float]:
    """From `names` of signatures in `folder` to `difference` from Keras.

    Of uint8 `images`; an `ExportMismatch` where one is above the tolerance,
    which by default is the classifier's own.
    """
    tolerance = served.tolerance if tolerance is None else tolerance
    rule, files = served.preprocess, encoded(images, served.preprocess)
    requests = {n: SIGNATURES[n].encode(images, files) for n in names}
    call = reload.call_in_new_process if fresh_process else reload.call
    expected = {False: served.expected(images)}
    if files:  # What an evaluation makes of them.
        seen = [rule.apply(decode_image(file)).numpy() for file in files]
        expected[True] = served.expected(np.stack(seen))
    found = {}
    for name, outputs in call(folder, requests).items():
        wanted = expected[SIGNATURES[name].encoded]
        found[name] = difference(outputs, wanted, served.labels)
        if not found[name] <= tolerance:  # true of NaN, too
            raise reload.ExportMismatch(
                f"Signature {name} of the SavedModel differs from the Keras "
                f"model by {found[name]}; tolerance is {tolerance}. Nothing "
                f"written."
            )
    return found


def difference(outputs, expected, labels=None) -> float:
    """The largest difference of outputs from what they are to be.

    It is absolute for probabilities and scores, relative to the largest value
    for logits and features, and NaN or infinite where an output is.
    """
    gaps = []
    for name in expected.keys() & outputs.keys():
        largest = np.abs(expected[name]).max() or 1.0
        gap = np.abs(outputs[name] - expected[name]).max()
        gaps.append(gap if name == "probabilities" else gap / largest)
    scores, probabilities = outputs.get("scores"), expected["probabilities"]
    if scores is not None:
        best = -np.sort(-probabilities, axis=-1)[:, : scores.shape[-1]]
        gaps.append(np.abs(scores - best).max())
    for name in {"classes", "labels"} & outputs.keys():
        # Of those that are named so the one that scores the like: classes may
        # share a name, and those that are as likely come in any order.
        numbers = np.arange(probabilities.shape[-1])
        if outputs[name].dtype == object:
            words = numbers.astype(str) if labels is None else labels
            numbers = np.array([str(word).encode() for word in words], object)
        is_named = outputs[name][..., None] == numbers
        far = np.abs(scores[..., None] - probabilities[:, None])
        gaps.append(np.where(is_named, far, np.inf).min(-1).max())
    # `max` would pass over NaN.
    return float(np.max(gaps))


def outputs_of(function, images) -> np.ndarray:
    """What a Keras model gives of uint8 images in inference, as float32."""
    # The reloaded model is called there, too: accelerators round otherwise.
    with tf.device("CPU:0"):
        parts = [
            function(part.astype(np.float32), training=False).numpy()
            for part in np.split(images, range(_BATCH, len(images), _BATCH))
        ]
    return np.concatenate(parts).astype(np.float32)


def _penultimate(model):
    """The part before the last layer with weights; None if paths pass it by."""
    if not is_graph(model):
        return None
    graph = Graph(model)
    weighted = [s for s in graph.steps if getattr(s.operation, "weights", ())]
    for point in graph.points if weighted else ():
        if weighted[-1].inputs == (point.value,):
            return segments.cut(model, taps=(point.name,))[1][0]
    return None


def _copy(variable, weights):
    value = np.asarray(variable.numpy())
    is_kernel = value.ndim >= 2 and variable.dtype == "float32"
    dtype = weights if is_kernel else variable.dtype
    # A name for tools that list what a checkpoint holds.
    name = variable.path.replace(":", "_")
    with np.errstate(over="ignore"):
        return tf.Variable(tf.cast(value, dtype), name=name)
