"""Corrupted copies of a dataset's test images, made once and kept as files."""

__all__ = ["write"]


def __getattr__(name):
    # On first use: workers import files of this package without TensorFlow.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from noisymix_tf.corruption_sets.writer import write

    return write
