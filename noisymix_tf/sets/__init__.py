"""Sets of images made of others, once, and kept as files.

What was killed at any moment is continued by the same command; a directory of
other settings is refused.
"""

__all__ = ["write"]


def __getattr__(name):
    # On first use: workers import files of this package without TensorFlow.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from noisymix_tf.sets.corrupted import write

    return write
