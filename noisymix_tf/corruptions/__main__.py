"""Door: corrupted copies of a dataset's test images, written once.

python -m noisymix_tf.corruptions --dataset=cifar10 --output_dir=cifar10-c
python -m noisymix_tf.corruptions --suite=p --output_dir=digits-p
"""

from noisymix_tf import doors


def main(argv):
    """Parses the command line and writes what it asks for."""
    from noisymix_tf.corruption_sets import command

    command.run(argv)


if __name__ == "__main__":
    doors.run(main)
