"""ImageNet (ILSVRC 2012; Russakovsky et al., 2015), by tensorflow-datasets."""

from noisymix_tf.data.dataset import Dataset, one_line
from noisymix_tf.data.folder import given_size
from noisymix_tf.data.prepared_split import open_split
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released.prepared import newest_version, prepared_root
from noisymix_tf.errors import UsageError
from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD

_NAME = "imagenet2012"


def load(*, data_dir=None, image_size=None, preprocess=None):
    """Returns ImageNet as a `Dataset`; its test images are the validation set.

    Classes are named by their synsets, such as `n01440764`. Images are decoded
    when they are needed, and memory holds where they lie: about 25 bytes each.

    Args:
        data_dir: Directory of tensorflow-datasets in which `imagenet2012` is
            prepared, as tfrecord or array_record; None for its own default.
        image_size: Size S of the square that images are brought to: the
            shorter side is resized to S, then the centre is cropped.
        preprocess: How images are brought to one size, see `Preprocess`; by
            default `"resize256-crop224"`.

    Raises:
        UsageError: If it is not prepared or is damaged, or the sizes do not go
            together. Nothing is downloaded: the terms of ImageNet want that
            you fetch the files yourself.
    """
    size = given_size(image_size, preprocess)
    if size is None and preprocess is not None:
        raise UsageError(
            "preprocess=as_stored: the images of ImageNet have several sizes; "
            "give one such as resize256-crop224."
        )
    if size is None:
        size = Preprocess(256, 224)
    builder = _prepared_builder(data_dir)
    train = open_split(builder, "train", size)
    return Dataset(
        name="imagenet",
        train=train,
        test=open_split(builder, "validation", size),
        class_names=tuple(builder.info.features["label"].names),
        image_shape=train.image_shape,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        flip=True,
        train_crop="resized",
    )


def _prepared_builder(data_dir):
    import tensorflow_datasets as tfds

    folder = prepared_root(data_dir) / _NAME
    newest = newest_version(folder)
    if newest is None:
        raise UsageError(
            f"No ImageNet is prepared in {folder}: give --data_dir=DIR of a "
            "prepared copy, or put ILSVRC2012_img_train.tar and "
            "ILSVRC2012_img_val.tar into DIR/downloads/manual and run python "
            '-c "import tensorflow_datasets as tfds; '
            f"tfds.builder('{_NAME}', data_dir='DIR').download_and_prepare()\""
        )
    try:
        builder = tfds.builder_from_directory(newest)
        missing = {"train", "validation"} - set(builder.info.splits)
    except Exception as error:
        raise UsageError(
            f"Cannot use the prepared {newest}: {one_line(error)}. Delete it "
            "and prepare it again."
        ) from error
    if missing:
        raise UsageError(
            f"{newest} lacks the split {' and '.join(sorted(missing))}: "
            "prepare it again."
        )
    return builder
