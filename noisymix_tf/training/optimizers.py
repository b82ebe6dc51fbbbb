"""Stochastic gradient descent with an L2 penalty inside the gradient."""

import keras


@keras.saving.register_keras_serializable("noisymix_tf")
class L2SGD(keras.optimizers.SGD):
    """SGD as the reference trains: L2 in the gradient, rate outside momentum.

        g = grad + l2 * w
        m = momentum * m + g
        w = w - learning_rate * (g + momentum * m)      (Nesterov)
        w = w - learning_rate * m                       (otherwise)

    It differs from `keras.optimizers.SGD` in two ways. The penalty acts on
    every trainable variable, scales and biases of normalisation included, and
    passes through the momentum; Keras' `weight_decay` is decoupled. And the
    momentum accumulates gradients, not steps, so that a schedule's current rate
    applies to all of it.

    Args:
        l2: Coefficient of the penalty, at least 0.
        learning_rate, momentum, nesterov, **kwargs: As in
            `keras.optimizers.SGD`.

    Example:

    >>> optimizer = L2SGD(0.1, momentum=0.9, nesterov=True, l2=5e-4)
    """

    def __init__(self, learning_rate=0.01, *, l2=0.0, name="l2_sgd", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        rate = keras.ops.cast(learning_rate, variable.dtype)
        gradient = keras.ops.cast(gradient, variable.dtype)
        gradient = gradient + self.l2 * variable
        if self.momentum:
            buffer = self.momentums[self._get_variable_index(variable)]
            self.assign(buffer, self.momentum * buffer + gradient)
            if self.nesterov:
                gradient = gradient + self.momentum * buffer
            else:
                gradient = buffer
        self.assign_sub(variable, rate * gradient)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}
