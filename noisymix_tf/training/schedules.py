"""The learning rate of every step."""

import keras


def peak_rate(learning_rate, batch_size, base_batch_size=None):
    """The learning rate of a batch size other than the one it is meant for.

    The linear scaling rule: a batch k times as large takes a rate k times as
    high (Goyal et al., arXiv:1706.02677, section 2.1).

    Args:
        learning_rate: Rate for batches of `base_batch_size`.
        batch_size: Images a step, on all replicas together.
        base_batch_size: `None` leaves the rate as it is.

    Example:

    >>> peak_rate(0.1, batch_size=1024, base_batch_size=256)
    0.4
    """
    if base_batch_size is None:
        return learning_rate
    return learning_rate * batch_size / base_batch_size


def warmup_cosine(peak, final, *, steps, warmup_steps=0):
    """A linear rise from 0, then half a cosine (arXiv:1608.03983, eq. 5).

        rate(t) = peak * t / w                                     for t < w
        rate(t) = final + (peak - final) * (1 + cos(pi * u)) / 2   from w on
        with w = warmup_steps, u = (t - w) / (steps - w)

    Steps are counted from 0, so that with a warm-up the first step changes
    nothing but the statistics of normalisation, and step w has the full rate.

    Args:
        peak: Highest rate, greater than 0.
        final: Rate after the last step.
        steps: Steps in all.
        warmup_steps: Those of the rise, fewer than `steps`.

    Returns:
        `keras.optimizers.schedules.CosineDecay`.

    Example:

    >>> rate = warmup_cosine(0.1, 0.0, steps=100, warmup_steps=10)
    >>> [round(float(rate(t)), 3) for t in (0, 5, 10, 55, 100)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    alpha = final / peak
    if not warmup_steps:
        return keras.optimizers.schedules.CosineDecay(
            peak, decay_steps=steps, alpha=alpha
        )
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=steps - warmup_steps,
        alpha=alpha,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )
