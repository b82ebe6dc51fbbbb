"""PuzzleMix's adversarial option: one gradient for saliency and attack.

A step of the fast gradient sign method from a random start, in pixels 0..255
(Kim et al., PuzzleMix, arXiv:2009.06962, section 5, and its published code).
"""

from noisymix_tf.lazy import tf

# The step is longer than the radius by this, of 255, as published.
_BEYOND = 2.0


def look(clean, radius, amount, attacked):
    """The gradient at the first tap, and a perturbation that climbs it.

    Args:
        clean: As `Mixing.settle` takes it; images are pixels 0..255, and what
            is at the first tap grows with them.
        radius: Largest perturbation of a pixel.
        amount: Factor in [0, 1], float32 scalar.
        attacked: bool scalar, whether anything is perturbed.

    Returns:
        `(gradient, perturbation)`: float32 `[B, H, W, C]`, taken at the random
        start; and what the perturbation does to the features, in their dtype.
        If nothing is perturbed, the gradient is that of the images themselves.
    """
    images = tf.cast(clean.images, tf.float32)

    def features(pixels):
        return clean.features(tf.cast(pixels, clean.images.dtype))

    start = tf.random.stateless_uniform(
        tf.shape(images), clean.seed, -radius, radius
    )
    # What leaves the range of pixels is no perturbation.
    start = tf.where(attacked, _clipped(images + start) - images, 0.0)
    gradient = clean.gradient(features(images + start))
    step = start + (radius + _BEYOND) * tf.sign(gradient)
    perturbation = amount * tf.clip_by_value(step, -radius, radius)
    perturbed = features(_clipped(images + perturbation))
    return gradient, perturbed - features(images)


def _clipped(images):
    return tf.clip_by_value(images, 0.0, 255.0)
