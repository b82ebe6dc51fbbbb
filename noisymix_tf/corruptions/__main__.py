"""Door: corrupted copies of a dataset's test images, written once.

python -m noisymix_tf.corruptions --dataset=cifar10 --output_dir=cifar10-c
python -m noisymix_tf.corruptions --suite=p --output_dir=digits-p
"""

import sys

from absl import flags

from noisymix_tf import command_line, doors, places
from noisymix_tf.config.corruption_sets import CorruptionSetsConfig

_USAGE = (
    "python -m noisymix_tf.corruptions --output_dir=DIR [--flag=value ...]\n"
    "Writes corrupted copies of a dataset's test images, in the layouts of\n"
    "CIFAR-10-C, CIFAR-10-P and ImageNet-C."
)


def main(argv):
    """Parses the command line and writes what it asks for."""
    values = flags.FlagValues()
    command_line.define_flags(values, config=CorruptionSetsConfig)
    config = command_line.parse(argv, values, CorruptionSetsConfig, _USAGE)
    given = dict(vars(config.sets))
    places.check_writable(given["output_dir"], "sets")
    # Here, so that --help needs no TensorFlow.
    from noisymix_tf import corruption_sets
    from noisymix_tf.training import setup

    path = corruption_sets.write(
        setup.test_dataset(config.data),
        names=given.pop("corruptions") or None,
        image_format=given.pop("format"),
        **given,
    )
    print(f"Written: {path}", file=sys.stderr)


if __name__ == "__main__":
    doors.run(main)
