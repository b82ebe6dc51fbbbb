"""Trees of training images that a network has changed, written once.

What `noisymix_tf.stylizing` and `noisymix_tf.deep_augment` share: which images
are taken (`Source`) and how the changed ones are written (`tree_folder`,
`fill`).
"""

from noisymix_tf.image_trees.source import Source, source
from noisymix_tf.image_trees.writer import fill, settings, tree_folder

__all__ = ["Source", "fill", "settings", "source", "tree_folder"]
