"""The six schemes of the figure, as points of one trainer, and their search.

Every scheme has a learning rate and, of the other numbers, those that it is
about. Their values are the best of twelve random settings each (Bergstra and
Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012), on equal
terms: the weight that the divergence has for images is far too high in the
plane, and leaves a network that always says "cloud". What else a flagfile in
`flags/method/` fixes for images stays as it is there: no sparsity for noise
injection and NFM, 0.65 and levels 1, 2, 3 for NoisyMix.
"""

import dataclasses

import numpy as np

# Values of a search are uniform on a logarithmic scale, and have two digits.
_RANGES = {
    "learning_rate": (0.0005, 0.05),
    "alpha": (0.1, 2.0),
    "additive_noise": (0.1, 2.0),
    "multiplicative_noise": (0.1, 2.0),
    "jsd_weight": (0.1, 12.0),
    "view_noise": (0.03, 0.3),
}


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

    def arguments(self):
        """Those of `nm.NoisyMix`, a dict."""
        own = ("title", "tunable", "learning_rate", "view_noise")
        fields = dataclasses.asdict(self).items()
        return {name: value for name, value in fields if name not in own}

    def with_values(self, values):
        """The scheme with numbers out of a dict, as far as it is about them."""
        own = {name: v for name, v in values.items() if name in self.tunable}
        return dataclasses.replace(self, **own)

    def setting(self, index):
        """Random setting number `index`: dict from attribute to number.

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
