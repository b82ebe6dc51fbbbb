"""The picture of the views."""

import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.callbacks import ViewImages
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.contact_sheet import contact_sheet
from support import fit_models

VIEWS = np.random.default_rng(0).integers(0, 256, [4, 3, 8, 6, 3], np.uint8)


def _picture(path):
    return tf.io.decode_png(tf.io.read_file(str(path))).numpy()


def _draw(*args, **kwargs):
    fit_models.fit(fit_models.model("plain"), 1, [ViewImages(*args, **kwargs)])


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


@pytest.mark.parametrize("kind", ["plain", "noisymix"])
def test_a_dataset_gives_its_first_batch_with_or_without_views(tmp_path, kind):
    """Pixels 0..255 of float batches with labels, as `fit` takes them."""
    dataset = fit_models.batches(kind)
    path = tmp_path / "new" / "views.png"
    callback = ViewImages(dataset, path)
    fit_models.fit(fit_models.model(kind), 1, [callback])
    x = next(iter(dataset))[0].numpy()
    x = x if kind == "noisymix" else x[:, None]
    np.testing.assert_array_equal(_picture(path), contact_sheet(x))


def test_arrays_with_and_without_views_and_a_batch_without_labels(tmp_path):
    for name, views in (("a", VIEWS), ("b", VIEWS[:, 0])):
        _draw(views, tmp_path / name, rows=2)
    np.testing.assert_array_equal(
        _picture(tmp_path / "a"), contact_sheet(VIEWS[:2])
    )
    np.testing.assert_array_equal(
        _picture(tmp_path / "b"), contact_sheet(VIEWS[:2, :1])
    )
    _draw(tf.data.Dataset.from_tensor_slices(VIEWS).batch(3), tmp_path / "c")
    np.testing.assert_array_equal(
        _picture(tmp_path / "c"), contact_sheet(VIEWS[:3])
    )


def test_grey_images_and_another_range_of_values(tmp_path):
    grey = VIEWS[..., :1]
    _draw(grey, tmp_path / "a.png")
    picture = _picture(tmp_path / "a.png")
    assert picture.shape[-1] == 1
    _draw(grey / 127.5 - 1.0, tmp_path / "b.png", value_range=(-1, 1))
    np.testing.assert_array_equal(_picture(tmp_path / "b.png"), picture)
    np.testing.assert_array_equal(picture, contact_sheet(grey))


def test_tensorboard_gets_the_picture_once(tmp_path):
    callback = ViewImages(VIEWS, log_dir=tmp_path)
    model = fit_models.model("plain")
    for _ in range(2):
        fit_models.fit(model, 1, [callback])
    images = [
        value
        for file in tmp_path.glob("events*")
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    (image,) = images
    assert image.tag == "views"
    png = image.tensor.string_val[2]
    np.testing.assert_array_equal(tf.io.decode_png(png), contact_sheet(VIEWS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"views": VIEWS}, "neither a path nor a log_dir"),
        ({"views": VIEWS[0, 0], "path": "x"}, r"views of shape \[8, 6, 3\]"),
        ({"views": VIEWS[..., :2], "path": "x"}, "C = 1 or 3"),
        ({"views": VIEWS[:0], "path": "x"}, "no batch of images"),
        (
            {"views": VIEWS, "path": "x", "value_range": (1, 0)},
            "two rising numbers",
        ),
        (
            {
                "views": tf.data.Dataset.from_tensor_slices(VIEWS).take(0),
                "path": "x",
            },
            "is empty",
        ),
    ],
)
def test_mistakes_are_found_at_once(arguments, message):
    with pytest.raises(UsageError, match=message) as error:
        ViewImages(**arguments)
    assert "\n" not in str(error.value)
