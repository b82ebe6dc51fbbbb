"""First and second derivatives of a function, example by example."""

import tensorflow as tf

_ZERO = tf.UnconnectedGradients.ZERO


def jacobian(function, x):
    """Derivatives of all outputs with respect to all inputs.

    Args:
        function: From `[N, D]` to `[N, K]`, each row by itself.
        x: Float tensor `[N, D]`.

    Returns:
        `(outputs, jacobian)`, `[N, K]` and `[N, K, D]`.
    """
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        outputs = function(x)
        columns = tf.unstack(outputs, axis=1)
    rows = [tape.gradient(column, x, None, _ZERO) for column in columns]
    return outputs, tf.stack(rows, axis=1)


def hessian(function, x):
    """Second derivatives of one output.

    Args:
        function: From `[N, D]` to `[N]`, each row by itself.
        x: Float tensor `[N, D]`.

    Returns:
        `[N, D, D]`.
    """
    return jacobian(lambda x: gradient_of(function, x), x)[1]


def gradient_of(function, x):
    """The gradient of one output, itself differentiable.

    Args:
        function: From `[N, D]` to `[N]`.
        x: Float tensor `[N, D]`.

    Returns:
        `[N, D]`.
    """
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = function(x)
    return tape.gradient(outputs, x, None, _ZERO)
