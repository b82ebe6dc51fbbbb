"""Sets of images made of others, once, and kept as files.

What was killed at any moment is continued by the same command; a directory of
other settings is refused.
"""

from noisymix_tf.sets.corrupted import write

__all__ = ["write"]
