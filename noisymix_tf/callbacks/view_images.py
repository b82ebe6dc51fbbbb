"""A picture of what the model is trained on."""

import pathlib

import keras
import numpy as np

from noisymix_tf.contact_sheet import contact_sheet
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically


class ViewImages(keras.callbacks.Callback):
    """Draws the views of one batch: a row for each image, a column for a view.

    The picture is made once, when training begins.

    Args:
        views: `[B, V, H, W, C]` or `[B, H, W, C]`, colour (C = 3) or grey
            (C = 1); or a `tf.data.Dataset` of such batches, alone or with
            labels, of which the first is drawn.
        path: PNG file to write, or `None`.
        log_dir: Directory for a TensorBoard image, or `None`; one of the two
            is needed.
        rows: How many images to draw.
        value_range: The values of black and white.

    Raises:
        UsageError: No such images, or nowhere to put the picture.

    Example:

    >>> model.fit(dataset, callbacks=[ViewImages(dataset, "views.png")])
    """

    def __init__(
        self, views, path=None, log_dir=None, rows=8, value_range=(0, 255)
    ):
        super().__init__()
        if path is None and log_dir is None:
            raise UsageError(
                "ViewImages has neither a path nor a log_dir: give the name of "
                "a PNG file, a TensorBoard directory, or both."
            )
        low, high = value_range
        if not low < high:
            raise UsageError(
                f"value_range={value_range!r} must be two rising numbers: the "
                f"values of black and white."
            )
        views = np.asarray(_first_batch(views))[:rows].astype(np.float64)
        if views.ndim == 4:
            views = views[:, None]
        if views.ndim != 5 or views.shape[-1] not in (1, 3) or not views.size:
            raise UsageError(
                f"views of shape {list(views.shape)} are no batch of images: "
                f"give [B, V, H, W, C] or [B, H, W, C] with C = 1 or 3."
            )
        self._views = (views - low) * (255 / (high - low))
        self._path = None if path is None else pathlib.Path(path)
        self._log_dir = log_dir
        self._is_drawn = False

    def on_train_begin(self, logs=None):
        import tensorflow as tf

        if self._is_drawn:
            return
        picture = contact_sheet(self._views)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            png = tf.io.encode_png(picture).numpy()
            write_atomically(self._path, png)
        if self._log_dir is not None:
            writer = tf.summary.create_file_writer(str(self._log_dir))
            with writer.as_default():
                tf.summary.image("views", picture[None], step=0)
            writer.close()
        self._is_drawn = True


def _first_batch(views):
    import tensorflow as tf

    if not isinstance(views, tf.data.Dataset):
        return views
    for batch in views.take(1):
        return batch[0] if isinstance(batch, tuple | list) else batch
    raise UsageError("The dataset of views is empty: there is nothing to draw.")
