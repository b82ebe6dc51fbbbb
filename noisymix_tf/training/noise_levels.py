"""How strong noise is beside the features that it is added to."""

import numpy as np
import tensorflow as tf

from noisymix_tf.mixing.noise import second_moments
from noisymix_tf.progress import say, warn
from noisymix_tf.training.step import at, view_major

# Shares of the features' standard deviation between which noise is of use.
_WEAK, _STRONG = 0.02, 0.5


def announce(trainer, images) -> None:
    """Says how strong noise is, and warns where that cannot be meant."""
    found = shares(trainer, images)
    words = [f"{tap} {100 * both:.0f} %" for tap, (_, both) in found.items()]
    say(f"Noise/std: {', '.join(words)}")
    scale = "" if trainer.noise_scale == "std" else "--noise_scale=std or "
    weak = [tap for tap, (added, _) in found.items() if 0 < added < _WEAK]
    strong = [tap for tap, (_, both) in found.items() if both > _STRONG]
    for taps, what in (
        (weak, f"additive noise is below {100 * _WEAK:.0f} %"),
        (strong, f"noise is above {100 * _STRONG:.0f} %"),
    ):
        if taps:
            warn(
                f"note: at {', '.join(taps)} {what} of the standard deviation "
                f"of the features: give {scale}another --noise_per_tap"
            )


def shares(trainer, images) -> dict[str, np.ndarray]:
    """What noise adds to images `[B, ...]`, by the names of a trainer's taps.

    Two shares of the features' standard deviation: the root of the mean square
    of what is added, and of that together with what multiplication changes.
    The network computes as in training, and gets its state back: in evaluation
    a new one lacks the statistics of its batch normalisation.
    """
    parts, found = trainer.parts(), {}
    x, _ = view_major(tf.convert_to_tensor(images), parts.input)
    pairs = zip(trainer.taps, parts.segments[: parts.mixing.num_taps])
    state = [(v, np.asarray(v)) for v in trainer.model.non_trainable_variables]
    for index, (tap, segment) in enumerate(pairs):
        x = segment(x, training=True)
        factor = at(trainer.noise_per_tap, index)
        additive, multiplicative = second_moments(
            trainer.additive_noise * factor * at(trainer.noise_per_view, 0),
            trainer.multiplicative_noise * factor,
            trainer.noise_sparsity,
        )
        values = tf.cast(x, tf.float32).numpy().astype(np.float64)
        variance = max(values.var(), np.finfo(np.float32).tiny)
        if trainer.noise_scale == "std":
            additive *= variance
        both = additive + multiplicative * np.mean(values**2)
        found[tap] = np.sqrt(np.divide([additive, both], variance))
    for variable, before in state:
        variable.assign(before)
    return found
