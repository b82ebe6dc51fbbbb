"""A Keras classifier as TensorFlow functions over variables of their own."""

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.training import segments
from noisymix_tf.training.graph import Graph, is_graph

# How many of the most probable classes a signature names.
TOP = 5


class ServedClassifier:
    """What all signatures of an export call.

    The functions read copies of the model's weights. Tracking the Keras model
    itself would store some of its bookkeeping, and each variable twice.

    Args:
        model: Keras classifier of one image input and one output `[N, C]`.
        image_shape: `(H, W, C)` of the pixels that it takes; sides may be None.
        is_probability: Whether it puts out probabilities, not logits.
        labels: Names of the classes, or None.
        preprocess: `noisymix_tf.data.Preprocess` of encoded images, or None
            where none are taken.
        weights: How matrices and kernels are stored: `"float32"`, `"float16"`
            or `"bfloat16"`. Vectors, such as the statistics of batch
            normalisation, stay as they are, and so does the computation.

    Attributes:
        image_shape, labels, preprocess, model: As given.
        variables: The copies, each once.
        classify: `tf.function` from float32 pixels `[N, H, W, C]` to the dict
            of outputs by name. One function, so that the network is in an
            export once, however many signatures call it.
        features: Function from float32 pixels to the activations that the last
            layer with weights gets, or None where not all paths pass one.
    """

    def __init__(
        self, model, image_shape, is_probability, labels, preprocess, weights
    ):
        self.image_shape = tuple(image_shape)
        self.labels = labels
        self.preprocess = preprocess
        self.model = model
        self._is_probability = is_probability
        self.variables = [_copy(v, weights) for v in model.weights]
        pixels = tf.TensorSpec([None, *self.image_shape], tf.float32)
        self.classify = tf.function(self._classify, input_signature=[pixels])
        before_last = penultimate(model)
        self.features = before_last and self._with_copies(before_last)

    def _classify(self, images):
        outputs = self._with_copies(self.model)(images)
        if self._is_probability:
            probabilities, results = outputs, {}
        else:
            probabilities = tf.nn.softmax(outputs)
            results = {"logits": outputs}
        top = tf.math.top_k(probabilities, min(TOP, outputs.shape[-1]))
        results |= {
            "probabilities": probabilities,
            "classes": top.indices,
            "scores": top.values,
        }
        if self.labels is not None:
            results["labels"] = tf.gather(tf.constant(self.labels), top.indices)
        return results

    def _with_copies(self, function):
        """`function(images)` in inference, on the copies, in float32."""

        def call(images):
            state = [
                (original, tf.cast(copy, original.dtype))
                for original, copy in zip(self.model.weights, self.variables)
            ]
            with keras.StatelessScope(state_mapping=state):
                return tf.cast(function(images, training=False), tf.float32)

        return call


def penultimate(model):
    """The part of a model before its last layer with weights.

    Args:
        model: A Keras model.

    Returns:
        Function `(images, training)`, or None where the model is no graph, or
        not all of its paths pass the input of that layer.
    """
    if not is_graph(model):
        return None
    graph = Graph(model)
    weighted = [s for s in graph.steps if getattr(s.operation, "weights", ())]
    if not weighted:
        return None
    for point in graph.points:
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
