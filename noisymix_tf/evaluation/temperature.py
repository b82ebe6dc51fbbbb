"""The temperature that makes a classifier's probabilities honest.

Logits are divided by one number, fitted on images that the network was not
trained on (Guo et al., 2017, "On Calibration of Modern Neural Networks",
section 4.2). What is said of an image stays the same, but how surely.
"""

import numpy as np

from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.lazy import special
from noisymix_tf.probabilities import PROBABILITY_MIN

# Where it is looked for. At an end, there was nothing to find.
_LOWEST, _HIGHEST = 1e-2, 1e2


def tempered(outputs, temperature, from_logits=True) -> np.ndarray:
    """Log-probabilities float64 `[n, K]`: of `softmax(logits / temperature)`.

    >>> np.exp(tempered([[0.8, 0.2]], 0.5, from_logits=False)).round(3)
    array([[0.941, 0.059]])
    """
    outputs = np.asarray(outputs, np.float64)
    if not from_logits:
        outputs = np.log(np.maximum(outputs, PROBABILITY_MIN))
    return special.log_softmax(outputs / temperature, axis=-1)


def fit(outputs, labels, from_logits=True) -> dict:
    """Finds the temperature under which labels are the most likely.

    Args:
        outputs: Float `[n, K]`, logits or probabilities.
        labels: int `[n]` in [0, K).
        from_logits: Which of the two they are.

    Returns:
        Dict of the temperature, `value`, from 0.01 to 100, or 1 where there is
        no minimum between; of how many `examples`; and the mean negative
        log-likelihood `nll` with it, and `nll_before`, without.
    """
    from scipy.optimize import minimize_scalar

    labels = np.asarray(labels)

    def nll(logarithm):
        logs = tempered(outputs, np.exp(logarithm), from_logits)
        return -logs[np.arange(len(labels)), labels].mean()

    # Of the reciprocal it is convex: there is one minimum.
    bounds = np.log([_LOWEST, _HIGHEST])
    found = minimize_scalar(nll, bounds=bounds, method="bounded")
    is_inside = min(map(nll, bounds)) > found.fun
    value = float(f"{np.exp(found.x):.4g}") if is_inside else 1.0
    after, before = (float(nll(np.log(t))) for t in (value, 1.0))
    own = {"value": value, "examples": len(labels)}
    return own | {"nll": after, "nll_before": before}


def of_model(model, split, num_classes, *, batch_size=256, **options) -> dict:
    """`fit` of what a classifier gives of a `data.Split`.

    Args:
        model: As of `evaluation.evaluate`.
        split: Images that it was not trained on, and that it is not to be
            measured on.
        num_classes: Number of the model's outputs.
        batch_size: Images of a forward pass.
        **options: Of `Predictor`.
    """
    batch_size = min(batch_size, len(split))
    images, labels = zip(*split.batches(batch_size))
    probe = images[0]
    predictor = Predictor(model, num_classes, probe, batch_size, **options)
    outputs = np.concatenate([*map(predictor, images)])
    return fit(outputs, np.concatenate(labels), predictor.from_logits)


def words(found) -> str:
    """What `fit` found, in a line."""
    if found["value"] == 1.0:
        return (
            f"Temperature: 1, no other is better on {found['examples']:,} "
            "images (as where every one is right, or none can be told)"
        )
    return (
        f"Temperature: {found['value']:g}, fitted to {found['examples']:,} "
        f"images (negative log-likelihood {found['nll_before']:.3f} without, "
        f"{found['nll']:.3f} with it)"
    )
