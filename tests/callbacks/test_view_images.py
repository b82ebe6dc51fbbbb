"""The picture of the views."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.callbacks import ViewImages
from noisymix_tf.evaluation.contact_sheet import contact_sheet
from support import fit_models, fresh_models
from support.usage import assert_usage_error

VIEWS = np.random.default_rng(0).integers(0, 256, [4, 3, 8, 6, 3], np.uint8)
GREY = VIEWS[..., :1]
STREAM = tf.data.Dataset.from_tensor_slices(VIEWS)


def test_contact_sheet_places_every_view():
    views = np.arange(6).reshape(2, 3, 1, 1, 1) * np.ones([2, 3, 4, 5, 3])
    sheet = contact_sheet(views, gap=1, least_side=1)
    assert sheet.shape == (2 * 5 + 1, 3 * 6 + 1, 3)
    assert sheet.dtype == np.uint8 and sheet[0, 0, 0] == 255
    centres = sheet[2::5, 3::6, 0]
    np.testing.assert_array_equal(centres, [[0, 1, 2], [3, 4, 5]])
    enlarged = contact_sheet(views, gap=1, least_side=10)
    assert enlarged.shape == (2 * 9 + 1, 3 * 11 + 1, 3)
    np.testing.assert_array_equal(enlarged[5::9, 6::11, 0], centres)


def _first(kind):
    return next(iter(fit_models.batches(kind)))[0].numpy()


@pytest.mark.parametrize(
    ("views", "more", "drawn"),
    [
        (VIEWS, {"rows": 2}, VIEWS[:2]),
        (VIEWS[:, 0], {"rows": 2}, VIEWS[:2, :1]),
        (STREAM.batch(3), {}, VIEWS[:3]),
        (GREY, {}, GREY),
        (GREY / 127.5 - 1.0, {"value_range": (-1, 1)}, GREY),
        # Pixels 0..255 of float batches with labels, as `fit` takes them.
        (fit_models.batches("plain"), {}, _first("plain")[:, None]),
        (fit_models.batches("noisymix"), {}, _first("noisymix")),
    ],
)
def test_pixels_of_arrays_and_datasets(tmp_path, views, more, drawn):
    path = tmp_path / "new" / "views.png"
    ViewImages(views, path, **more).on_train_begin()
    picture = tf.io.decode_png(tf.io.read_file(str(path))).numpy()
    np.testing.assert_array_equal(picture, contact_sheet(drawn))
    assert picture.shape[-1] == drawn.shape[-1]


def test_tensorboard_gets_the_picture_once(tmp_path):
    callback = ViewImages(VIEWS, log_dir=tmp_path)
    for _ in range(2):
        fit_models.fit(fresh_models.get("plain"), 1, [callback])
    [image] = [
        value
        for file in tmp_path.glob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    assert image.tag == "views"
    png = image.tensor.string_val[2]
    np.testing.assert_array_equal(tf.io.decode_png(png), contact_sheet(VIEWS))


@pytest.mark.parametrize(
    ("views", "more", "words"),
    [
        (VIEWS, {"path": None}, "neither a path nor a log_dir"),
        (VIEWS[0, 0], {}, "views of shape [8, 6, 3]"),
        (VIEWS[..., :2], {}, "C = 1 or 3"),
        (VIEWS[:0], {}, "no batch of images"),
        (VIEWS, {"value_range": (1, 0)}, "two rising numbers"),
        (STREAM.take(0), {}, "is empty"),
    ],
)
def test_mistakes_are_found_at_once(views, more, words):
    assert_usage_error(
        lambda: ViewImages(views, **{"path": "x", **more}), words
    )
