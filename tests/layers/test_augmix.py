"""The AugMix layer: its pixels, its draws, and where it can stand."""

import zlib

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment import augmix, augmix_views
from noisymix_tf.errors import UsageError
from noisymix_tf.layers import AugMix
from noisymix_tf.training.trainer import NoisyMix
from support import door_processes
from support.layer_contract import assert_layer_contract


def _images(channels=3, seed=0):
    shape = [4, 16, 16, channels]
    pixels = tf.random.stateless_uniform(shape, [seed, 1], 0, 256, tf.int32)
    return tf.cast(pixels, tf.uint8)


def _expected(images, call, seed=0, **options):
    """What the layer's call of that number must give."""
    return augmix(images, rng.stream(seed, call, "augmix"), **options).numpy()


def test_contract_for_floats(tmp_path):
    assert_layer_contract(
        AugMix(name="augmix", value_range=(0, 1), seed=2),
        tf.cast(_images(), tf.float32) / 255.0,
        tmp_path=tmp_path,
        atol=1e-5,
    )


def test_contract_for_views_of_bytes(tmp_path):
    assert_layer_contract(
        AugMix(name="augmix", num_views=2),
        _images(),
        expected_shape=(4, 3, 16, 16, 3),
        tmp_path=tmp_path,
        atol=1e-3,
    )


def test_successive_calls_give_the_pixels_of_the_function():
    images = _images()
    for seed in (0, 9):
        one, two = AugMix(seed=seed), AugMix(seed=seed)
        for call in range(3):
            expected = _expected(images, call, seed)
            np.testing.assert_array_equal(one(images), expected)
            np.testing.assert_array_equal(two(images), expected)
    assert (_expected(images, 0) != _expected(images, 1)).any()
    assert (_expected(images, 0) != _expected(images, 0, 9)).any()


def test_options_reach_the_function():
    options = {
        "severity": 1,
        "width": 2,
        "depth": 1,
        "alpha": 0.5,
        "all_ops": True,
    }
    images = _images(channels=1)
    layer = AugMix(**options)
    np.testing.assert_array_equal(
        layer(images), _expected(images, 0, **options)
    )
    assert options.items() <= layer.get_config().items()


def test_views_have_the_clean_one_first():
    images = _images()
    views = AugMix(num_views=2)(images)
    expected = augmix_views(images, rng.stream(0, 0, "augmix"))
    np.testing.assert_array_equal(views, expected)
    np.testing.assert_array_equal(views[:, 0], tf.cast(images, tf.float32))


@pytest.mark.parametrize("value_range", [(0, 255), (0, 1), (-1.0, 1.0)])
def test_floats_are_rounded_to_8_bit_and_come_back_in_their_range(value_range):
    low, high = value_range
    images = _images()
    # Within half a level of the byte, but for what lies outside of the range.
    shift = tf.random.stateless_uniform(images.shape, [3, 4], -0.49, 0.49)
    floats = tf.cast(images, tf.float32) + shift
    floats = low + floats * ((high - low) / 255)
    view = AugMix(value_range=value_range)(floats)
    expected = low + _expected(images, 0) * ((high - low) / 255)
    np.testing.assert_allclose(view, expected, atol=1e-6 * (high - low))
    # Neither rounded nor clipped at the end.
    levels = (np.array(view) - low) * 255 / (high - low)
    assert np.abs(levels - np.round(levels)).max() > 0.1


def test_an_explicit_seed_draws_alike_and_is_not_counted():
    images = _images()
    layer = AugMix()
    view = layer(images, seed=[3, 4])
    np.testing.assert_array_equal(view, augmix(images, [3, 4]))
    np.testing.assert_array_equal(layer(images), _expected(images, 0))


def test_a_parallel_pipeline_with_seeds_repeats_exactly():
    images = _images()
    layer = AugMix()
    data = tf.data.Dataset.from_tensors((images, tf.range(4))).repeat(6)
    data = data.enumerate().map(
        lambda step, batch: (layer(batch[0], seed=[0, step]), batch[1]),
        num_parallel_calls=2,
    )
    assert data.element_spec[0].shape == [4, 16, 16, 3]
    for step, (views, labels) in enumerate(data):
        np.testing.assert_array_equal(views, augmix(images, [0, step]))
        np.testing.assert_array_equal(labels, tf.range(4))


def test_parallel_calls_never_share_a_number():
    images = _images()
    layer = AugMix()
    data = tf.data.Dataset.from_tensors(images).repeat(24)
    found = [
        views.tobytes()
        for views in data.map(layer, num_parallel_calls=8).as_numpy_iterator()
    ]
    assert sorted(found) == sorted(
        _expected(images, call).tobytes() for call in range(24)
    )


def test_entries_beside_the_images_pass_untouched():
    images = _images()
    entries = {
        "images": images,
        "labels": tf.range(4),
        "names": tf.constant(["a", "b", "c", "d"]),
    }
    result = AugMix()(entries)
    assert result.keys() == entries.keys()
    assert result["labels"] is entries["labels"]
    assert result["names"] is entries["names"]
    np.testing.assert_array_equal(result["images"], _expected(images, 0))
    single = AugMix()({"images": images[0], "labels": tf.constant(2)})
    assert single["labels"].shape == []
    np.testing.assert_array_equal(single["images"], _expected(images[:1], 0)[0])


def test_one_image_at_a_time_in_a_pipeline():
    images = _images()
    data = tf.data.Dataset.from_tensor_slices(images).map(AugMix())
    assert data.element_spec.shape == [16, 16, 3]
    for call, view in enumerate(data):
        expected = _expected(images[call : call + 1], call)[0]
        np.testing.assert_array_equal(view, expected)
    views = AugMix(num_views=2)(keras.Input((16, 16, 3), batch_size=5))
    assert views.shape == (5, 3, 16, 16, 3)


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize(
    "pipeline",
    [
        lambda layer: keras_cv.layers.Augmenter([layer]),
        lambda layer: keras_cv.layers.RandomChoice([layer], seed=1),
        lambda layer: keras_cv.layers.RandomAugmentationPipeline(
            [layer], augmentations_per_image=1, seed=1
        ),
    ],
    ids=["Augmenter", "RandomChoice", "RandomAugmentationPipeline"],
)
def test_it_drops_into_keras_cv_pipelines(pipeline, mapped):
    layer = AugMix()
    assert isinstance(
        layer, keras_cv.layers.VectorizedBaseImageAugmentationLayer
    )
    augment = pipeline(layer)
    images = _images()
    batch = {"images": images, "labels": tf.one_hot(tf.range(4), 4)}
    if mapped:
        (result,) = tf.data.Dataset.from_tensors(batch).map(augment)
    else:
        result = augment(batch)
    np.testing.assert_array_equal(result["labels"], np.eye(4))
    if isinstance(augment, keras_cv.layers.Augmenter):
        expected = _expected(images, 0)
    else:
        # These hand over one image at a time.
        expected = [_expected(images[i : i + 1], i)[0] for i in range(4)]
    np.testing.assert_array_equal(result["images"], expected)


def test_in_a_model_it_augments_in_training_only():
    images = tf.cast(_images(), tf.float32)
    layer = AugMix()
    pixels = keras.layers.Flatten()
    model = keras.Sequential([keras.Input((16, 16, 3)), layer, pixels])
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), pixels(images)
    )
    np.testing.assert_array_equal(
        model(images, training=True), pixels(_expected(_images(), 0))
    )
    # Not named, `training` is what it is for other augmentations of Keras.
    assert (model(images) != model(images, training=False)).numpy().any()
    choice = keras_cv.layers.RandomChoice([AugMix()], seed=1)
    inputs = keras.Input((16, 16, 3))
    nested = keras.Model(inputs, choice(inputs))
    np.testing.assert_array_equal(nested.predict(images, verbose=0), images)


def test_the_trainer_takes_its_views():
    init = keras.initializers.GlorotUniform(seed=1)
    classifier = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 127.5, -1),
            keras.layers.Flatten(),
            keras.layers.Dense(4, kernel_initializer=init),
        ]
    )
    trainer = NoisyMix(classifier, taps="input")
    trainer.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    layer = AugMix(num_views=2)
    data = tf.data.Dataset.from_tensors((_images(), tf.range(4)))
    data = data.map(lambda images, labels: (layer(images), labels))
    logs = trainer.fit(data, verbose=0, shuffle=False).history
    assert logs["jsd"][0] > 0


def test_replicas_draw_differently_and_pipelines_count_once():
    strategy = tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"],
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    images = _images()
    with strategy.scope():
        layer, in_pipeline = AugMix(), AugMix()
        data = tf.data.Dataset.from_tensors(images).repeat(2).map(in_pipeline)
        for call, views in enumerate(data):
            np.testing.assert_array_equal(views, _expected(images, call))

    @tf.function
    def step():
        return strategy.run(lambda: layer(images))

    for call in range(2):
        first, second = step().values
        np.testing.assert_array_equal(first, _expected(images, call))
        seed = rng.stream(0, call, "augmix", replica=1)
        np.testing.assert_array_equal(second, augmix(images, seed))


def test_it_runs_where_operations_must_be_deterministic(tmp_path):
    np.save(tmp_path / "images.npy", _images())
    code = f"""
import zlib
import numpy as np
import tensorflow as tf
tf.config.experimental.enable_op_determinism()
from noisymix_tf.layers import AugMix
data = tf.data.Dataset.from_tensors(np.load({str(tmp_path / "images.npy")!r}))
data = data.repeat(3).map(AugMix(), num_parallel_calls=2)
for views in data.as_numpy_iterator():
    print(zlib.crc32(views.tobytes()))
"""
    done = door_processes.run(door_processes.SCRIPT, code)
    expected = [
        zlib.crc32(_expected(_images(), call).tobytes()) for call in range(3)
    ]
    assert done.stdout.split() == [str(each) for each in expected], done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"severity": 11}, r"severity .* got 11"),
        ({"width": 0}, r"width .* got 0"),
        ({"num_views": 0}, r"num_views=0 must be .* at least 1"),
        ({"seed": None}, r"seed=None must be a whole number"),
        ({"value_range": (0, 0)}, r"value_range=\(0, 0\)"),
        ({"value_range": (255, 0)}, r"value_range=\(255, 0\)"),
        ({"value_range": 255}, r"value_range=255"),
        ({"value_range": (0, float("inf"))}, r"value_range=\(0, inf\)"),
        ({"dtype": "uint8"}, r"dtype='uint8' .* float"),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(UsageError, match=message):
        AugMix(**arguments)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"labels": tf.range(4)}, r"no 'images' among \['labels'\]"),
        (tf.zeros([16, 16]), r"got shape \(16, 16\)"),
        (tf.zeros([4, 16, 16, 4], tf.uint8), "1 or 3 channels"),
        (
            tf.ragged.stack([tf.zeros([4, 4, 3]), tf.zeros([5, 4, 3])]),
            "ragged images; resize",
        ),
        *(
            ({"images": _images(), name: tf.zeros([4, 1])}, name)
            for name in ("bounding_boxes", "keypoints", "segmentation_masks")
        ),
    ],
)
def test_refuses_inputs(inputs, message):
    with pytest.raises(UsageError, match=message):
        AugMix()(inputs)


def test_refuses_pixels_that_are_not_in_the_range():
    images = tf.cast(_images(), tf.float32)
    with pytest.raises(UsageError, match=r"far outside of .*\(0, 1\)"):
        AugMix(value_range=(0, 1))(images)
    with pytest.raises(UsageError, match="far outside"):
        AugMix()(images * np.nan)
    with pytest.raises(UsageError, match=r"\[-1, 1\] only"):
        AugMix()(images / 255.0)
    with pytest.raises(UsageError, match="uint8 images have pixels 0 to 255"):
        AugMix(value_range=(0, 1))(_images())
    data = tf.data.Dataset.from_tensors(images).map(AugMix(value_range=(0, 1)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="far outside"):
        next(iter(data))
    # Black images, and what resizing overshoots, are in order.
    np.testing.assert_array_equal(AugMix(seed=1)(tf.zeros([4, 16, 16, 3])), 0)
    AugMix()(images * 1.2 - 25.0)


def test_refuses_a_seed_that_is_not_two_numbers():
    with pytest.raises(UsageError, match=r"seed .* two whole numbers"):
        AugMix()(_images(), seed=5)
