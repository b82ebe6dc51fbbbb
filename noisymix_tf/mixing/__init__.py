"""Mixing of examples, and noise in the mixed features.

A kind of mixing has two methods: `plan(seed, batch_size)` draws what happens
in a step, `mix(x, plan)` does it to features `[V, B, ...]` at the chosen tap.
The registry builds a kind from the number of taps and `alpha`.
"""

from noisymix_tf.mixing.batches import with_plan
from noisymix_tf.mixing.manifold import ManifoldMixing, MixPlan, NoMixing
from noisymix_tf.mixing.noise import feature_noise
from noisymix_tf.registry import Registry

MIXINGS = Registry("mixing")


@MIXINGS.register("none")
def _none(num_taps, alpha):
    del num_taps, alpha
    return NoMixing()


@MIXINGS.register("input")
def _input(num_taps, alpha):
    del num_taps
    return ManifoldMixing(1, alpha)


@MIXINGS.register("manifold")
def _manifold(num_taps, alpha):
    return ManifoldMixing(num_taps, alpha)


__all__ = [
    "MIXINGS",
    "ManifoldMixing",
    "MixPlan",
    "NoMixing",
    "feature_noise",
    "with_plan",
]
