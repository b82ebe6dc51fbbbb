"""Door: training images through a perturbed autoencoder -> a tree to train on.

python -m noisymix_tf.deepaugment --data_dir=PHOTOS \
    --output_dir=trees/deepaugment
"""

from noisymix_tf import command_line, doors, places
from noisymix_tf.config.deepaugment import DeepAugmentConfig

_USAGE = (
    "python -m noisymix_tf.deepaugment --data_dir=DIR "
    "--output_dir=DIR [--flag=value ...]"
)


def main(argv):
    """Parses the command line and writes the tree."""
    command_line.define_flags(config=DeepAugmentConfig)
    config = command_line.parse(argv, config=DeepAugmentConfig, usage=_USAGE)
    places.check_writable(config.tree.output_dir, "tree")
    # Here, so that --help needs no TensorFlow.
    import tensorflow as tf

    from noisymix_tf.deep_augment import command

    # A tree that is continued is the one that would have been made at once.
    tf.config.experimental.enable_op_determinism()
    command.run(config)


if __name__ == "__main__":
    doors.run(main)
