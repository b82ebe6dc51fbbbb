"""SGD as the reference does it, AdamW and Lion, and their learning rate."""

import keras
import tensorflow as tf

from noisymix_tf.errors import UsageError


class PerVariable:
    """Of a Keras optimizer: a rate for each variable, and one norm for all.

    Two things differ from Keras. Each variable may have a factor of the
    learning rate, which counts for its decoupled `weight_decay` too. And
    `global_clipnorm` limits the norm of the gradient that is applied, summed
    over all replicas, where Keras limits each replica's part of it.

    Args:
        rate_factors: A factor for each of the trainable variables, in their
            order; None: 1 for all. `training.tuning.rate_factors` makes them.
        *args, **kwargs: As in Keras.

    A `UsageError` from `build`, where there are more variables or fewer.
    """

    def __init__(self, *args, rate_factors=None, **kwargs):
        super().__init__(*args, **kwargs)
        if rate_factors is not None:
            rate_factors = tuple(map(float, rate_factors))
        self.rate_factors = rate_factors

    def build(self, variables):
        count = len(self.rate_factors or variables)
        if count != len(variables):
            raise UsageError(
                f"rate_factors has {count} factors for {len(variables)} "
                f"trainable variables: give one for each, in their order."
            )
        super().build(variables)

    def own_rate(self, variable, learning_rate):
        """The rate of a variable, which has been shrunk by its decay."""
        rate = keras.ops.cast(learning_rate, variable.dtype)
        if self.rate_factors is not None:
            rate *= self.rate_factors[self._get_variable_index(variable)]
        if self.weight_decay and self._use_weight_decay(variable):
            decay = keras.ops.cast(self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * decay * rate)
        return rate

    def _apply_weight_decay(self, variables):
        """Done in `own_rate`."""

    def _clip_gradients(self, grads):
        # Done below, where the gradients of all replicas are summed.
        return grads if self.global_clipnorm else super()._clip_gradients(grads)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if not self.global_clipnorm:
            super()._backend_update_step(
                grads, trainable_variables, learning_rate
            )
            return
        variables = [getattr(v, "value", v) for v in trainable_variables]
        pairs = self._all_reduce_sum_gradients(zip(grads, variables))
        reduced, _ = tf.clip_by_global_norm(
            [gradient for gradient, _ in pairs], self.global_clipnorm
        )
        tf.__internal__.distribute.interim.maybe_merge_call(
            self._distributed_tf_update_step,
            self._distribution_strategy,
            list(zip(reduced, variables)),
            learning_rate,
        )

    def get_config(self):
        config = super().get_config()
        if self.rate_factors is not None:
            config["rate_factors"] = list(self.rate_factors)
        return config


@keras.saving.register_keras_serializable("noisymix_tf")
class L2SGD(PerVariable, keras.optimizers.SGD):
    """SGD as the reference trains: L2 in the gradient, rate outside momentum.

        g = grad + l2 * w
        m = momentum * m + g
        w = w - learning_rate * (g + momentum * m)      (Nesterov)
        w = w - learning_rate * m                       (otherwise)

    Beyond `PerVariable` it differs from `keras.optimizers.SGD` in two ways. The
    penalty acts on every trainable variable, scales and biases of normalisation
    included, and passes through the momentum (and not into `global_clipnorm`);
    Keras' `weight_decay` is decoupled. The momentum accumulates gradients, not
    steps, so that a schedule's current rate applies to all of it.

    Args:
        l2: Coefficient of the penalty, at least 0.
        learning_rate, momentum, nesterov, **kwargs: As in Keras.

    >>> optimizer = L2SGD(0.1, momentum=0.9, nesterov=True, l2=5e-4)
    """

    def __init__(self, learning_rate=0.01, *, l2=0.0, name="l2_sgd", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        rate = self.own_rate(variable, learning_rate)
        gradient = keras.ops.cast(gradient, variable.dtype)
        step = gradient = gradient + self.l2 * variable
        if self.momentum:
            step = buffer = self.momentums[self._get_variable_index(variable)]
            self.assign(buffer, self.momentum * buffer + gradient)
            if self.nesterov:
                step = gradient + self.momentum * buffer
        self.assign_sub(variable, rate * step)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


class _Adaptive(PerVariable):
    """Decays neither biases nor what has one axis, such as scales."""

    def update_step(self, gradient, variable, learning_rate):
        rate = self.own_rate(variable, learning_rate)
        super().update_step(gradient, variable, rate)

    def _use_weight_decay(self, variable):
        # On a replica it is not the variable that has the layer's name for it.
        own = self._trainable_variables[self._get_variable_index(variable)]
        is_decayed = len(own.shape) > 1 and own.name != "bias"
        return is_decayed and super()._use_weight_decay(variable)


@keras.saving.register_keras_serializable("noisymix_tf")
class AdamW(_Adaptive, keras.optimizers.AdamW):
    """Keras' AdamW (arXiv:1711.05101), as `PerVariable` says.

    Its weight decay leaves out biases and all variables with fewer than two
    axes: scales and offsets of normalisation, and of layers.
    """


@keras.saving.register_keras_serializable("noisymix_tf")
class Lion(_Adaptive, keras.optimizers.Lion):
    """Keras' Lion (arXiv:2302.06675), as `AdamW` is Keras' AdamW."""


def warmup_cosine(
    peak, final, *, steps, warmup_steps=0
) -> keras.optimizers.schedules.CosineDecay:
    """A linear rise from 0, then half a cosine (arXiv:1608.03983, eq. 5).

        rate(t) = peak * t / w                                     for t < w
        rate(t) = final + (peak - final) * (1 + cos(pi * u)) / 2   from w on
        with w = warmup_steps, u = (t - w) / (steps - w)

    Steps are counted from 0, so that with a warm-up the first step changes
    nothing but the statistics of normalisation, and step w has the full rate.

    >>> rate = warmup_cosine(0.1, 0.0, steps=100, warmup_steps=10)
    >>> [round(float(rate(t)), 3) for t in (0, 5, 10, 55, 100)]
    [0.0, 0.05, 0.1, 0.05, 0.0]
    """
    start = {"initial_learning_rate": peak}
    if warmup_steps:
        start = {"initial_learning_rate": 0.0, "warmup_target": peak}
        start["warmup_steps"] = warmup_steps
    return keras.optimizers.schedules.CosineDecay(
        decay_steps=steps - warmup_steps, alpha=final / peak, **start
    )
