"""What attacks climb: a loss of each image, and its gradient in the pixels."""

import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.probabilities import softmax_input
from noisymix_tf.registry import Registry

LOSSES = Registry("loss")

# Smaller probabilities count as this one; its logarithm and the reciprocal in
# its gradient are finite in float32.
_PROBABILITY_MIN = 1e-30


def scores(outputs, from_logits):
    """Scores `[B, K]` whose softmax are the model's probabilities, float32.

    They are taken from in front of a final softmax where there is one in
    sight: of a confident model, rounded probabilities tell no direction.

    Args:
        outputs: Float `[B, K]`, what a model gives.
        from_logits: Whether they are logits or probabilities.

    Raises:
        UsageError: If they are called logits and a softmax made them.
    """
    logits = softmax_input(outputs)
    if logits is not None:
        if from_logits:
            raise UsageError(
                "The model ends in softmax and from_logits=True was given: "
                "give from_logits=False, or leave it out."
            )
        return tf.cast(logits, tf.float32)
    outputs = tf.cast(outputs, tf.float32)
    if from_logits:
        return outputs
    return tf.math.log(tf.maximum(outputs, _PROBABILITY_MIN))


@LOSSES.register("cross_entropy")
def cross_entropy(scores, labels):
    """`-log p` of the right class, as everyone computes it in float32.

    Once `p` rounds to one, at about 17 nats of margin, its gradient has lost
    the right class's part and points elsewhere.

    Args:
        scores: float32 `[B, K]`, K at least 2.
        labels: int `[B]`.

    Returns:
        float32 `[B]`.
    """
    own = tf.gather(tf.nn.log_softmax(scores), labels, batch_dims=1)
    return -own


@LOSSES.register("log_odds")
def log_odds(scores, labels):
    """`log((1 - p) / p)` of the right class, without cancellation.

    The cross-entropy is its softplus, so that both grow together and their
    gradients point the same way. This one neither rounds nor vanishes,
    however sure the model is.

    Args:
        scores: float32 `[B, K]`, K at least 2.
        labels: int `[B]`.

    Returns:
        float32 `[B]`.
    """
    right = tf.one_hot(labels, scores.shape[-1], on_value=True, off_value=False)
    wrong = tf.reduce_logsumexp(tf.where(right, -float("inf"), scores), axis=-1)
    return wrong - tf.gather(scores, labels, batch_dims=1)


def missed(scores, labels):
    """Whether a class other than the label's scores highest; bool `[B]`."""
    return tf.argmax(scores, axis=-1, output_type=labels.dtype) != labels


def ascent(loss, score, images, labels):
    """Gradient of a loss with respect to the pixels, and its scale.

    Of an image on which the model is sure it is tiny, and would vanish on its
    way back through layers in half precision. So what goes back is scaled to
    one for each image; attacks only ask for the direction.

    Args:
        loss: Function of scores and labels, an entry of `LOSSES`.
        score: Function from float32 images to scores `[B, K]`, one image's
            independent of the others'.
        images: float32 `[B, H, W, C]`.
        labels: int `[B]`.

    Returns:
        `(direction, scale)`, float32 `[B, H, W, C]` and `[B, 1, 1, 1]`, whose
        product is each image's gradient of its own loss.

    Raises:
        UsageError: If the scores do not depend on the pixels in a way that
            can be differentiated.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(images)
        scores = score(images)
    with tf.GradientTape(watch_accessed_variables=False) as last:
        last.watch(scores)
        value = loss(scores, labels)
    slope = last.gradient(value, scores)
    scale = tf.reduce_max(tf.abs(slope), axis=-1, keepdims=True)
    direction = tape.gradient(
        scores, images, tf.math.divide_no_nan(slope, scale)
    )
    if direction is None:
        raise UsageError(
            "The model has no gradient with respect to its pixels: attack one "
            "that takes floats and whose operations can be differentiated."
        )
    return direction, scale[:, :, None, None]
