"""Door: training images in the styles of pictures -> a tree to train on.

python -m noisymix_tf.stylize --data_dir=PHOTOS --styles=PAINTINGS \
    --output_dir=trees/stylized
"""

from noisymix_tf import command_line, doors, places
from noisymix_tf.config.stylize import StylizeConfig

_USAGE = (
    "python -m noisymix_tf.stylize --data_dir=DIR --styles=DIR "
    "--output_dir=DIR [--flag=value ...]"
)


def main(argv):
    """Parses the command line and writes the tree."""
    command_line.define_flags(config=StylizeConfig)
    config = command_line.parse(argv, config=StylizeConfig, usage=_USAGE)
    places.check_writable(config.tree.output_dir, "tree")
    # Here, so that --help needs no TensorFlow.
    import tensorflow as tf

    from noisymix_tf.stylizing import command

    # A tree that is continued is the one that would have been made at once.
    tf.config.experimental.enable_op_determinism()
    command.run(config)


if __name__ == "__main__":
    doors.run(main)
