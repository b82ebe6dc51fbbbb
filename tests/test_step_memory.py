"""An estimate of a step's memory against what can be counted by hand."""

import tensorflow as tf

from noisymix_tf import devices, step_memory

MB = 2**20


def _chain(x):
    for _ in range(9):
        x = tf.sin(x)
    return x


def _gradient(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = _chain(x)
    return tape.gradient(y, x)


def _in_a_loop(x):
    return tf.map_fn(tf.function(_gradient), tf.stack([x] * 3))


def _traced(function):
    spec = tf.TensorSpec([MB // 4])
    return tf.function(function, autograph=False).get_concrete_function(spec)


def test_what_is_needed_again_counts_until_then(monkeypatch, capsys):
    """README's photo command took 10 GB without a word."""
    found = [_traced(f) for f in (_chain, _gradient, _in_a_loop)]
    found = [round(step_memory.peak(each.graph) / MB) for each in found]
    once, kept, inside = found
    assert once == 2 and 10 <= kept <= 13  # An input and an output.
    assert kept <= inside <= kept + 6

    def said(free, **more):
        found = devices.Devices("CPU", (), free, 1, machines=False, sums=False)
        monkeypatch.setattr(devices, "found", lambda strategy: found)
        step_memory.announce(_traced(_gradient), **more)
        return capsys.readouterr().err

    line = said(10 * MB, is_silent=True)
    assert line.startswith("warning: a step needs about 0.0 GB of memory, but")
    assert "--batch_size" in line and line.count("\n") == 1
    assert said(2e9) == "A step needs about 0.0 GB of memory; 2.0 GB are free\n"
    assert said(2e9, is_silent=True) == said(None) == ""
