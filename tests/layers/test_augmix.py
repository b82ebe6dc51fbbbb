"""The AugMix layer: its pixels, its draws, and where it can stand."""

import zlib

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf import rng
from noisymix_tf.augment import augmix_views
from noisymix_tf.layers import AugMix
from support import door_processes
from support.layer_contract import assert_layer_contract
from support.usage import assert_usage_error

SHAPE = (8, 8, 3)


def pixels(shape=SHAPE):
    drawn = tf.random.stateless_uniform([2, *shape], [0, 1], 0, 256, tf.int32)
    return tf.cast(drawn, tf.uint8)


IMAGES = pixels()
FLOATS = tf.cast(IMAGES, tf.float32)


@pytest.fixture
def without_compilation():
    """Other numbers than compiled, but the same for layer and function."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def stream(call, seed=0, replica=0):
    """The stateless seed that the layer's call of that number must have."""
    return rng.stream(seed, call, "augmix", replica)


def expected(images, key, **options):
    views = augmix_views(images, key, num_views=1, **options)
    return views[:, 1].numpy()


def test_contract_for_views_of_floats(tmp_path):
    assert_layer_contract(
        AugMix(name="augmix", value_range=(0, 1), num_views=1, seed=2),
        FLOATS / 255.0,
        expected_shape=(2, 2, *SHAPE),
        tmp_path=tmp_path,
        atol=1e-5,
    )


def test_successive_calls_give_the_pixels_of_the_function():
    for seed in (0, 9):
        one, two = AugMix(seed=seed), AugMix(seed=seed)
        for call in range(3):
            view = expected(IMAGES, stream(call, seed))
            same(one(IMAGES), view)
            same(two(IMAGES), view)
    # One that is given a seed is not counted.
    given = one(IMAGES, seed=[3, 4])
    same(given, expected(IMAGES, [3, 4]))
    same(one(IMAGES), expected(IMAGES, stream(3, 9)))
    where = [(0, 0), (1, 0), (0, 9), (1, 9)]
    assert len({expected(IMAGES, stream(*w)).tobytes() for w in where}) == 4


@pytest.mark.usefixtures("without_compilation")
def test_options_reach_the_function_and_views_have_the_clean_one_first():
    options = dict(severity=1, width=2, depth=1, alpha=0.5, all_ops=True)
    options["num_views"] = 2
    images = pixels((8, 8, 1))
    layer = AugMix(**options)
    views = layer(images)
    wanted = augmix_views(images, stream(0), **options)
    same(views, wanted)
    same(views[:, 0], tf.cast(images, tf.float32))
    assert options.items() <= layer.get_config().items()
    symbolic = layer(keras.Input((16, 16, 3), batch_size=5))
    assert symbolic.shape == (5, 3, 16, 16, 3)


@pytest.mark.parametrize("value_range", [(0, 255), (0, 1), (-1.0, 1.0)])
def test_floats_are_rounded_to_8_bit_and_come_back_in_their_range(value_range):
    low, high = value_range
    # Within half a level of the byte, but for what lies outside of the range.
    shift = tf.random.stateless_uniform(IMAGES.shape, [3, 4], -0.49, 0.49)
    floats = low + (FLOATS + shift) * ((high - low) / 255)
    view = AugMix(value_range=value_range)(floats)
    wanted = low + expected(IMAGES, stream(0)) * ((high - low) / 255)
    np.testing.assert_allclose(view, wanted, atol=1e-6 * (high - low))
    # Neither rounded nor clipped at the end.
    levels = (np.array(view) - low) * 255 / (high - low)
    assert np.abs(levels - np.round(levels)).max() > 0.1


def test_parallel_pipelines_repeat_with_seeds_and_never_share_a_number():
    layer = AugMix()
    data = tf.data.Dataset.from_tensors((IMAGES, tf.range(2))).repeat(24)
    data = data.enumerate().map(
        lambda step, batch: (
            layer(batch[0], seed=[0, step]),
            layer(batch[0]),
            batch[1],
        ),
        num_parallel_calls=8,
    )
    assert data.element_spec[0].shape == IMAGES.shape
    found = []
    for step, (seeded, counted, labels) in enumerate(data):
        same(seeded, expected(IMAGES, [0, step]))
        same(labels, tf.range(2))
        found.append(counted.numpy().tobytes())
    views = [expected(IMAGES, stream(call)).tobytes() for call in range(24)]
    assert sorted(found) == sorted(views)


@pytest.mark.usefixtures("without_compilation")
def test_entries_beside_the_images_pass_untouched():
    names = tf.constant(["a", "b"])
    entries = {"images": IMAGES, "labels": tf.range(2), "names": names}
    result = AugMix()(entries)
    assert result.keys() == entries.keys()
    assert result["labels"] is entries["labels"] and result["names"] is names
    view = expected(IMAGES, stream(0))
    same(result["images"], view)
    single = AugMix()({"images": IMAGES[0], "labels": tf.constant(2)})
    assert single["labels"].shape == []
    view = expected(IMAGES[:1], stream(0))[0]
    same(single["images"], view)


PIPELINES = {
    "Augmenter": {},
    "RandomChoice": {"seed": 1},
    "RandomAugmentationPipeline": {"augmentations_per_image": 1, "seed": 1},
}


@pytest.mark.usefixtures("without_compilation")
@pytest.mark.parametrize("name", PIPELINES)
def test_it_drops_into_keras_cv_pipelines(name):
    layer = AugMix()
    base = keras_cv.layers.VectorizedBaseImageAugmentationLayer
    assert isinstance(layer, base)
    augment = getattr(keras_cv.layers, name)([layer], **PIPELINES[name])
    batch = {"images": IMAGES, "labels": tf.one_hot(tf.range(2), 2)}
    result = augment(batch)
    same(result["labels"], np.eye(2))
    views = expected(IMAGES, stream(0))
    if name != "Augmenter":
        # These hand over one image at a time.
        views = [expected(IMAGES[i : i + 1], stream(i))[0] for i in range(2)]
    same(result["images"], views)
    mapped = tf.data.Dataset.from_tensors(batch).map(augment)
    assert mapped.element_spec["images"].shape == IMAGES.shape


@pytest.mark.usefixtures("without_compilation")
def test_in_a_model_it_augments_in_training_only():
    model = keras.Sequential([keras.Input(SHAPE), AugMix()])
    same(model.predict(FLOATS, verbose=0), FLOATS)
    view = expected(IMAGES, stream(0))
    same(model(FLOATS, training=True), view)
    # Not named, `training` is what it is for other augmentations of Keras.
    assert (model(FLOATS) != model(FLOATS, training=False)).numpy().any()
    choice = keras_cv.layers.RandomChoice([AugMix()], seed=1)
    inputs = keras.Input(SHAPE)
    nested = keras.Model(inputs, choice(inputs))
    same(nested.predict(FLOATS, verbose=0), FLOATS)


MIRRORED = tf.distribute.MirroredStrategy(
    ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
)


@pytest.mark.usefixtures("without_compilation")
def test_replicas_draw_differently():
    with MIRRORED.scope():
        layer = AugMix()
    for call in range(2):
        views = MIRRORED.run(lambda: layer(IMAGES)).values
        for replica, view in enumerate(views):
            same(view, expected(IMAGES, stream(call, replica=replica)))


@pytest.mark.slow
def test_pipelines_made_in_a_strategy_count_once():
    with MIRRORED.scope():
        data = tf.data.Dataset.from_tensors(IMAGES).repeat(2).map(AugMix())
        for call, view in enumerate(data):
            same(view, expected(IMAGES, stream(call)))


@pytest.mark.slow
def test_it_runs_where_operations_must_be_deterministic(tmp_path):
    """In a process of its own: a global generator is refused there."""
    np.save(tmp_path / "images.npy", IMAGES)
    code = f"""
import zlib, numpy as np, tensorflow as tf
tf.config.experimental.enable_op_determinism()
from noisymix_tf.layers import AugMix
data = tf.data.Dataset.from_tensors(np.load({str(tmp_path / "images.npy")!r}))
for views in data.repeat(3).map(AugMix(), 2).as_numpy_iterator():
    print(zlib.crc32(views.tobytes()))
"""
    done = door_processes.run(door_processes.SCRIPT, code)
    views = [expected(IMAGES, stream(call)) for call in range(3)]
    words = [str(zlib.crc32(view.tobytes())) for view in views]
    assert done.stdout.split() == words, done.stderr


def test_refuses_arguments():
    for name, value in [
        ("severity", 11),
        ("width", 0),
        ("num_views", 0),
        ("seed", None),
        *(
            ("value_range", each)
            for each in [(0, 0), (255, 0), 255, (0, np.inf)]
        ),
        ("dtype", "uint8"),
    ]:
        call = lambda: AugMix(**{name: value})  # noqa: B023, E731
        assert_usage_error(call, name, repr(value))


def test_refuses_inputs():
    ragged = tf.ragged.stack([tf.zeros([4, 4, 3]), tf.zeros([5, 4, 3])])
    geometry = ("bounding_boxes", "keypoints", "segmentation_masks")
    for inputs, words in [
        ({"labels": tf.range(2)}, "no 'images' among ['labels']"),
        (tf.zeros([16, 16]), "got shape (16, 16)"),
        (tf.zeros([4, 8, 8, 4], tf.uint8), "1 or 3 channels"),
        (ragged, "ragged images; resize"),
        *(({"images": IMAGES, key: tf.zeros([4])}, key) for key in geometry),
        (FLOATS * np.nan, "far outside"),
        (FLOATS / 255.0, "[-1, 1] only"),
    ]:
        assert_usage_error(lambda: AugMix()(inputs), words)  # noqa: B023
    unit = AugMix(value_range=(0, 1))
    assert_usage_error(lambda: AugMix()(IMAGES, seed=5), "two whole numbers")
    assert_usage_error(
        lambda: unit(FLOATS), "far outside of value_range=(0, 1)"
    )
    assert_usage_error(lambda: unit(IMAGES), "uint8 images have pixels 0 to")
    data = tf.data.Dataset.from_tensors(FLOATS).map(unit)
    with pytest.raises(tf.errors.InvalidArgumentError, match="far outside"):
        next(iter(data))
    # Black images, and what resizing overshoots, are in order.
    same(AugMix(seed=1)(0 * FLOATS), 0)
    AugMix()(FLOATS * 1.2 - 25.0)
