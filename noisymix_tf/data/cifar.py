"""CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), by tensorflow-datasets."""

import os
import threading
import urllib.error
import urllib.request

import numpy as np
import tensorflow as tf

from noisymix_tf.data.dataset import (
    ArraySplit,
    Dataset,
    one_line,
    refuse_resizing,
)
from noisymix_tf.errors import UsageError


def load(name, *, data_dir=None, image_size=None, preprocess=None):
    """Returns `"cifar10"` or `"cifar100"` in the order of the released files.

    A directory that tensorflow-datasets has prepared is read without a word
    to the network. Otherwise the dataset is downloaded into it once, where
    the source can be reached.

    Args:
        name: Name of the dataset for tensorflow-datasets.
        data_dir: Directory of tensorflow-datasets; None for its own default,
            `~/tensorflow_datasets`.
        image_size: None or 32.
        preprocess: None or `"as_stored"`.

    Raises:
        UsageError: If the dataset is not prepared and cannot be downloaded,
            or is damaged, or another `image_size` or `preprocess` is given.
    """
    shape = (32, 32, 3)
    refuse_resizing(name, image_size, preprocess, shape)
    builder = _prepared_builder(name, data_dir)
    return Dataset(
        name=name,
        train=_read(builder, "train"),
        test=_read(builder, "test"),
        class_names=tuple(builder.info.features["label"].names),
        image_shape=shape,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        flip=True,
    )


def _prepared_builder(name, data_dir):
    import tensorflow_datasets as tfds

    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:
        raise UsageError(
            f"Cannot use the prepared {name} in --data_dir={data_dir}: "
            f"{one_line(error)}. Delete it and prepare it again."
        ) from error
    if not tf.io.gfile.exists(_info_file(builder)):
        _download(builder, data_dir)
    return builder


def _info_file(builder):
    # Written last, so that it is there where the preparation was finished.
    return os.path.join(builder.data_dir, "dataset_info.json")


def _download(builder, data_dir):
    """Downloads and prepares, or says within seconds why it cannot."""
    argument = "" if data_dir is None else f", data_dir={str(data_dir)!r}"
    problem = (
        f"{builder.name} is not prepared: no {_info_file(builder)}, and "
        "{reason}. Give --data_dir=DIR of a prepared copy, or run on a machine "
        'with a network: python -c "import tensorflow_datasets as tfds; '
        f"tfds.builder('{builder.name}'{argument}).download_and_prepare()\""
    )
    # tensorflow-datasets retries a host that does not answer for minutes.
    for url in builder.url_infos:
        if not _reachable(url):
            raise UsageError(
                problem.format(reason=f"{url} cannot be reached from here")
            )
    try:
        builder.download_and_prepare()
    except Exception as error:
        raise UsageError(
            problem.format(reason=f"the download failed ({one_line(error)})")
        ) from error


def _reachable(url, timeout=2.0):
    """Whether a server answers for `url`; decides within about 5 seconds.

    The request goes the way a download would go: through the proxies of the
    environment, if any.
    """
    answered = threading.Event()

    def ask():
        request = urllib.request.Request(url, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=timeout).close()
        except urllib.error.HTTPError:
            pass  # A refusal is an answer; the download will say more.
        except OSError:
            return
        answered.set()

    # The timeout covers the connection but not the look-up of the name, hence
    # a thread that can be left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2.5 * timeout)
    return answered.is_set()


def _read(builder, split):
    """Reads one split into memory, in the order of its example ids."""
    try:
        # One batch of everything: faster than a loop, and the images are to
        # be one array anyway.
        examples = builder.as_dataset(split=split, batch_size=-1)
    except (tf.errors.OpError, ValueError) as error:
        raise UsageError(
            f"Cannot read the {split} split of {builder.data_dir}: "
            f"{one_line(error)}. Delete that directory and prepare it again."
        ) from error
    images, labels = examples["image"].numpy(), examples["label"].numpy()
    # The records are shuffled; an id such as "train_00042" is the position in
    # the released files. Versions without ids keep their order.
    if "id" in examples:
        order = np.argsort(examples["id"].numpy(), kind="stable")
        images, labels = images[order], labels[order]
    return ArraySplit(images, labels)
