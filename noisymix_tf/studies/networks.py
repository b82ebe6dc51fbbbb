"""The six schemes of the figure, and how small dense networks are trained.

Every scheme has a learning rate and, of the other numbers, those that it is
about. Their values are the best of twelve random settings each (Bergstra and
Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012), on equal
terms: the weight that the divergence has for images is far too high in the
plane, and leaves a network that always says "cloud". What else a flagfile in
`flags/method/` fixes for images stays as it is there: no sparsity for noise
injection and NFM, 0.65 and levels 1, 2, 3 for NoisyMix.
"""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf.errors import UsageError
from noisymix_tf.training.trainer import NoisyMix

# Values of a search are uniform on a logarithmic scale, and have two digits.
_RANGES = {
    "learning_rate": (0.0005, 0.05),
    "alpha": (0.1, 2.0),
    "additive_noise": (0.1, 2.0),
    "multiplicative_noise": (0.1, 2.0),
    "jsd_weight": (0.1, 12.0),
    "view_noise": (0.03, 0.3),
}
# Steps between two returns to Python, which cost more than the steps.
_STEPS_PER_EXECUTION = 50
# Few, so that no probability is near zero or one, where nothing bends.
_FITTING_STEPS = 40
_FITTING_RATE = 0.01


@dataclasses.dataclass(frozen=True)
class Scheme:
    """One way of training.

    Attributes:
        title: Its name in the figure.
        tunable: Names of the attributes that the scheme is about. All others
            keep their values whatever the user says.
        learning_rate: Peak of the cosine schedule.
        view_noise: Standard deviation of what is added to the second and the
            third view, where images have AugMix.

    The others are arguments of `nm.NoisyMix`.
    """

    title: str
    tunable: tuple[str, ...]
    learning_rate: float
    mixing: str = "none"
    alpha: float = 0.0
    additive_noise: float = 0.0
    multiplicative_noise: float = 0.0
    noise_sparsity: float = 0.0
    noise_per_view: tuple[float, ...] = (1.0,)
    jsd_weight: float = 0.0
    view_noise: float = 0.0

    def arguments(self) -> dict:
        """Those of `nm.NoisyMix`."""
        own = ("title", "tunable", "learning_rate", "view_noise")
        fields = dataclasses.asdict(self).items()
        return {name: value for name, value in fields if name not in own}

    def with_values(self, values) -> "Scheme":
        """The scheme with numbers out of a dict, as far as it is about them."""
        own = {name: v for name, v in values.items() if name in self.tunable}
        return dataclasses.replace(self, **own)

    def setting(self, index) -> dict[str, float]:
        """Random setting number `index`: attributes and their numbers.

        Schemes that are about the same number have the same value of it.
        """
        rng = np.random.default_rng(index)
        drawn = {
            name: float(f"{np.exp(rng.uniform(*np.log(bounds))):.2g}")
            for name, bounds in _RANGES.items()
        }
        return {name: drawn[name] for name in self.tunable}


def _scheme(title, **values):
    return Scheme(title, tuple(n for n in _RANGES if n in values), **values)


_NOISE = {"additive_noise": 0.47, "multiplicative_noise": 0.24}
_MIXUP = {"learning_rate": 0.041, "mixing": "manifold", "alpha": 0.19}

SCHEMES = {
    "baseline": _scheme("Baseline", learning_rate=0.00074),
    "noise_injection": _scheme("Noise injection", learning_rate=0.02, **_NOISE),
    "manifold_mixup": _scheme("Manifold Mixup", **_MIXUP),
    "nfm": _scheme(
        "NFM", **_MIXUP, additive_noise=1.2, multiplicative_noise=0.16
    ),
    "manifold_mixup_jsd": _scheme(
        "Manifold Mixup + JSD", **_MIXUP, jsd_weight=1.2, view_noise=0.041
    ),
    "noisymix": _scheme(
        "NoisyMix",
        learning_rate=0.02,
        mixing="manifold",
        alpha=1.1,
        **_NOISE,
        noise_sparsity=0.65,
        noise_per_view=(1.0, 2.0, 3.0),
        jsd_weight=0.13,
        view_noise=0.073,
    ),
}


def fitted(
    x, y, activation, *, num_classes=2, seed=0, use_bias=True
) -> keras.Model:
    """A network of two hidden layers in float64, trained on all of the data.

    It takes x `[N, D]` and class numbers y `[N]`; with `"relu"` and no biases
    it is piecewise linear.
    """
    units, kernel = [16, 16, num_classes], keras.initializers.GlorotNormal
    own = {"dtype": "float64", "use_bias": use_bias}
    model = _dense(x.shape[1], units, activation, kernel, seed, **own)
    _compile(model, _FITTING_RATE, _FITTING_STEPS, dtype="float64")
    batch = tf.data.Dataset.from_tensors((x, y)).repeat(_FITTING_STEPS)
    model.fit(batch, verbose=0, shuffle=False)
    return model


def trained(scheme, sets, config) -> Iterator[tuple[int, keras.Model]]:
    """Trains a ReLU network on each set, with the trainer that images have.

    `sets` is a dict from seed, of the weights, of the order, of views, mixing
    and noise, to `Points`, as many in each. The learning rate falls to zero.
    Yields `(seed, network)`, the second to logits `[B, 2]`: each time the same
    one with other weights, so that its step is traced once.
    """

    def network(seed):
        units = [config.width] * config.depth + [2]
        return _dense(
            2, units, "relu", keras.initializers.HeNormal, 1000 * seed
        )

    if not sets:
        return
    num = len(next(iter(sets.values())).y)
    steps = config.epochs * (num // config.batch_size)
    rate = keras.optimizers.schedules.CosineDecay(scheme.learning_rate, steps)
    trainer = NoisyMix(network(0), taps="auto", **scheme.arguments())
    _compile(trainer, rate, min(steps, _STEPS_PER_EXECUTION))
    for seed, points in sets.items():
        trainer.model.set_weights(network(seed).get_weights())
        for variable in trainer.optimizer.variables:
            variable.assign(tf.zeros_like(variable))
        # Every seed has a stretch of the trainer's random numbers for itself.
        trainer.step.assign(seed * steps)
        found = views(points, scheme, config.epochs, config.batch_size, seed)
        batches = tf.data.Dataset.from_tensor_slices(found)
        trainer.fit(batches, verbose=0, shuffle=False)
        if not all(np.isfinite(w).all() for w in trainer.get_weights()):
            raise UsageError(
                f"A training with seed {seed} has diverged: lower "
                f"--learning_rate or the levels of noise."
            )
        yield seed, trainer.model


def views(
    points, scheme, epochs, batch_size, seed
) -> tuple[np.ndarray, np.ndarray]:
    """All batches of a training: `[steps, B, V, 2]`, and labels `[steps, B]`.

    View 0 is the point itself. Where the scheme compares views, the second and
    the third have normal noise of their own, because without augmentation and
    without noise all three would be equal and so would be what the network
    says of them. Every epoch has another order; a rest is left out.
    """
    rng = np.random.default_rng([seed, 1])
    num = len(points.y) // batch_size * batch_size
    order = np.stack([rng.permutation(len(points.y)) for _ in range(epochs)])
    order = order[:, :num].reshape(-1, batch_size)
    shape = [*order.shape, 3 if scheme.jsd_weight else 1, 2]
    x = np.broadcast_to(points.x[order][:, :, None], shape).copy()
    noise = rng.normal(size=x[:, :, 1:].shape)
    x[:, :, 1:] += scheme.view_noise * noise.astype(np.float32)
    return x, points.y[order]


def _dense(size, units, activation, kernel, seed, dtype="float32", **options):
    """A network that ends in logits; layer `i` is initialised by `seed + i`."""
    layers = [keras.Input([size], dtype=dtype)]
    for i, num in enumerate(units):
        own = activation if i < len(units) - 1 else None
        options["kernel_initializer"] = kernel(seed + i)
        layers.append(keras.layers.Dense(num, own, dtype=dtype, **options))
    return keras.Sequential(layers)


def _compile(model, rate, steps_per_execution, dtype="float32"):
    loss = keras.losses.SparseCategoricalCrossentropy(True, dtype=dtype)
    model.compile(
        keras.optimizers.Adam(rate),
        loss,
        steps_per_execution=steps_per_execution,
        jit_compile=False,
    )
