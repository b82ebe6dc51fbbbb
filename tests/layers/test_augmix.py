"""The AugMix layer: its pixels, its draws, and where it can stand."""

import zlib

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf import rng
from noisymix_tf.augment import augmix_views
from noisymix_tf.layers import AugMix
from noisymix_tf.training.trainer import NoisyMix
from support import door_processes
from support.layer_contract import assert_layer_contract
from support.usage import assert_usage_error

SHAPE = (8, 8, 3)


def pixels(shape=SHAPE):
    drawn = tf.random.stateless_uniform([4, *shape], [0, 1], 0, 256, tf.int32)
    return tf.cast(drawn, tf.uint8)


IMAGES = pixels()


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


def test_contract_for_floats(tmp_path):
    assert_layer_contract(
        AugMix(name="augmix", value_range=(0, 1), seed=2),
        tf.cast(IMAGES, tf.float32) / 255.0,
        tmp_path=tmp_path,
        atol=1e-5,
    )


@pytest.mark.slow
def test_contract_for_views_of_bytes(tmp_path):
    assert_layer_contract(
        AugMix(name="augmix", num_views=2),
        IMAGES,
        expected_shape=(4, 3, *SHAPE),
        tmp_path=tmp_path,
        atol=1e-3,
    )


def test_successive_calls_give_the_pixels_of_the_function():
    for seed in (0, 9):
        one, two = AugMix(seed=seed), AugMix(seed=seed)
        for call in range(3):
            view = expected(IMAGES, stream(call, seed))
            np.testing.assert_array_equal(one(IMAGES), view)
            np.testing.assert_array_equal(two(IMAGES), view)
    # One that is given a seed is not counted.
    given = one(IMAGES, seed=[3, 4])
    np.testing.assert_array_equal(given, expected(IMAGES, [3, 4]))
    view = expected(IMAGES, stream(3, 9))
    np.testing.assert_array_equal(one(IMAGES), view)
    firsts = {expected(IMAGES, stream(*w)).tobytes() for w in ((0, 0), (1, 0))}
    assert len(firsts | {view.tobytes(), given.numpy().tobytes()}) == 4


@pytest.mark.usefixtures("without_compilation")
def test_options_reach_the_function_and_views_have_the_clean_one_first():
    options = {
        "severity": 1,
        "width": 2,
        "depth": 1,
        "alpha": 0.5,
        "all_ops": True,
        "num_views": 2,
    }
    images = pixels((8, 8, 1))
    layer = AugMix(**options)
    views = layer(images)
    np.testing.assert_array_equal(
        views, augmix_views(images, stream(0), **options)
    )
    np.testing.assert_array_equal(views[:, 0], tf.cast(images, tf.float32))
    assert options.items() <= layer.get_config().items()
    symbolic = layer(keras.Input((16, 16, 3), batch_size=5))
    assert symbolic.shape == (5, 3, 16, 16, 3)


@pytest.mark.parametrize("value_range", [(0, 255), (0, 1), (-1.0, 1.0)])
def test_floats_are_rounded_to_8_bit_and_come_back_in_their_range(value_range):
    low, high = value_range
    # Within half a level of the byte, but for what lies outside of the range.
    shift = tf.random.stateless_uniform(IMAGES.shape, [3, 4], -0.49, 0.49)
    floats = tf.cast(IMAGES, tf.float32) + shift
    floats = low + floats * ((high - low) / 255)
    view = AugMix(value_range=value_range)(floats)
    wanted = low + expected(IMAGES, stream(0)) * ((high - low) / 255)
    np.testing.assert_allclose(view, wanted, atol=1e-6 * (high - low))
    # Neither rounded nor clipped at the end.
    levels = (np.array(view) - low) * 255 / (high - low)
    assert np.abs(levels - np.round(levels)).max() > 0.1


def test_parallel_pipelines_repeat_with_seeds_and_never_share_a_number():
    layer = AugMix()
    data = tf.data.Dataset.from_tensors((IMAGES, tf.range(4))).repeat(24)

    def augment(step, batch):
        seeded = layer(batch[0], seed=[0, step])
        return seeded, layer(batch[0]), batch[1]

    data = data.enumerate().map(augment, num_parallel_calls=8)
    assert data.element_spec[0].shape == IMAGES.shape
    found = []
    for step, (seeded, counted, labels) in enumerate(data):
        np.testing.assert_array_equal(seeded, expected(IMAGES, [0, step]))
        np.testing.assert_array_equal(labels, tf.range(4))
        found.append(counted.numpy().tobytes())
    assert sorted(found) == sorted(
        expected(IMAGES, stream(call)).tobytes() for call in range(24)
    )


@pytest.mark.usefixtures("without_compilation")
def test_entries_beside_the_images_pass_untouched():
    names = tf.constant(["a", "b", "c", "d"])
    entries = {"images": IMAGES, "labels": tf.range(4), "names": names}
    result = AugMix()(entries)
    assert result.keys() == entries.keys()
    assert result["labels"] is entries["labels"] and result["names"] is names
    np.testing.assert_array_equal(result["images"], expected(IMAGES, stream(0)))


@pytest.mark.usefixtures("without_compilation")
@pytest.mark.parametrize(
    ("pipeline", "options", "one_at_a_time"),
    [
        ("Augmenter", {}, False),
        ("RandomChoice", {"seed": 1}, True),
        (
            "RandomAugmentationPipeline",
            {"augmentations_per_image": 1, "seed": 1},
            True,
        ),
    ],
)
def test_it_drops_into_keras_cv_pipelines(pipeline, options, one_at_a_time):
    layer = AugMix()
    base = keras_cv.layers.VectorizedBaseImageAugmentationLayer
    assert isinstance(layer, base)
    augment = getattr(keras_cv.layers, pipeline)([layer], **options)
    batch = {"images": IMAGES, "labels": tf.one_hot(tf.range(4), 4)}
    result = augment(batch)
    np.testing.assert_array_equal(result["labels"], np.eye(4))
    views = expected(IMAGES, stream(0))
    if one_at_a_time:
        views = [expected(IMAGES[i : i + 1], stream(i))[0] for i in range(4)]
    np.testing.assert_array_equal(result["images"], views)
    mapped = tf.data.Dataset.from_tensors(batch).map(augment)
    assert mapped.element_spec["images"].shape == IMAGES.shape


@pytest.mark.usefixtures("without_compilation")
def test_in_a_model_it_augments_in_training_only():
    images = tf.cast(IMAGES, tf.float32)
    flat = keras.layers.Flatten()
    model = keras.Sequential([keras.Input(SHAPE), AugMix(), flat])
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), flat(images)
    )
    np.testing.assert_array_equal(
        model(images, training=True), flat(expected(IMAGES, stream(0)))
    )
    # Not named, `training` is what it is for other augmentations of Keras.
    assert (model(images) != model(images, training=False)).numpy().any()
    choice = keras_cv.layers.RandomChoice([AugMix()], seed=1)
    inputs = keras.Input(SHAPE)
    nested = keras.Model(inputs, choice(inputs))
    np.testing.assert_array_equal(nested.predict(images, verbose=0), images)


@pytest.mark.usefixtures("without_compilation")
def test_the_trainer_takes_its_views():
    classifier = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.Rescaling(1 / 127.5, -1),
            keras.layers.Flatten(),
            keras.layers.Dense(
                4, kernel_initializer=keras.initializers.GlorotUniform(1)
            ),
        ]
    )
    trainer = NoisyMix(classifier, taps="input")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trainer.compile("sgd", loss, run_eagerly=True)
    views = AugMix(num_views=1)(IMAGES)
    logs = trainer.fit(views, tf.range(4), verbose=0).history
    assert logs["jsd"][0] > 0


MIRRORED = tf.distribute.MirroredStrategy(
    ["CPU:0", "CPU:1"],
    cross_device_ops=tf.distribute.ReductionToOneDevice(),
)


def test_a_pipeline_made_in_a_strategy_counts_once():
    with MIRRORED.scope():
        data = tf.data.Dataset.from_tensors(IMAGES).repeat(2).map(AugMix())
        for call, views in enumerate(data):
            np.testing.assert_array_equal(views, expected(IMAGES, stream(call)))


@pytest.mark.usefixtures("without_compilation")
def test_replicas_draw_differently():
    with MIRRORED.scope():
        layer = AugMix()
    for call in range(2):
        views = MIRRORED.run(lambda: layer(IMAGES)).values
        for replica, view in enumerate(views):
            key = stream(call, replica=replica)
            np.testing.assert_array_equal(view, expected(IMAGES, key))


@pytest.mark.usefixtures("determinism")
def test_it_runs_where_operations_must_be_deterministic():
    """The base class's generator and that of Keras-CV's layers do not."""
    for seed in (0, 5):
        layer = AugMix(seed=seed)
        for call in range(2):
            view = expected(IMAGES, stream(call, seed))
            np.testing.assert_array_equal(layer(IMAGES), view)


@pytest.mark.slow
def test_a_process_of_its_own_draws_the_same(tmp_path):
    """In a parallel pipeline, nothing being there that was drawn before."""
    np.save(tmp_path / "images.npy", IMAGES)
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
    assert done.stdout.split() == [
        str(zlib.crc32(expected(IMAGES, stream(call)).tobytes()))
        for call in range(3)
    ], done.stderr


FLOATS = tf.cast(IMAGES, tf.float32)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        *(
            (lambda options=options: AugMix(**options), words)
            for options, words in [
                ({"severity": 11}, "got 11"),
                ({"width": 0}, "got 0"),
                ({"num_views": 0}, "num_views=0 must be a whole number"),
                ({"seed": None}, "seed=None must be a whole number"),
                ({"value_range": (0, 0)}, "value_range=(0, 0)"),
                ({"value_range": (255, 0)}, "value_range=(255, 0)"),
                ({"value_range": 255}, "value_range=255"),
                ({"value_range": (0, float("inf"))}, "value_range=(0, inf)"),
                ({"dtype": "uint8"}, "dtype='uint8' cannot hold"),
            ]
        ),
        *(
            (lambda inputs=inputs: AugMix()(inputs), words)
            for inputs, words in [
                ({"labels": tf.range(4)}, "no 'images' among ['labels']"),
                (tf.zeros([16, 16]), "got shape (16, 16)"),
                (tf.zeros([4, 8, 8, 4], tf.uint8), "1 or 3 channels"),
                (
                    tf.ragged.stack([tf.zeros([4, 4, 3]), tf.zeros([5, 4, 3])]),
                    "ragged images; resize",
                ),
                *(
                    ({"images": IMAGES, name: tf.zeros([4, 1])}, name)
                    for name in (
                        "bounding_boxes",
                        "keypoints",
                        "segmentation_masks",
                    )
                ),
                (FLOATS * np.nan, "far outside"),
                (FLOATS / 255.0, "[-1, 1] only"),
            ]
        ),
        (lambda: AugMix()(IMAGES, seed=5), "must be two whole numbers"),
        (lambda: AugMix(value_range=(0, 1))(FLOATS), "outside of value_range"),
        (lambda: AugMix(value_range=(0, 1))(IMAGES), "uint8 images have"),
    ],
)
def test_refuses(call, words):
    assert_usage_error(call, words)


def test_pixels_outside_of_the_range_in_a_pipeline_and_near_to_it():
    data = tf.data.Dataset.from_tensors(FLOATS).map(AugMix(value_range=(0, 1)))
    with pytest.raises(tf.errors.InvalidArgumentError, match="far outside"):
        next(iter(data))
    # Black images, and what resizing overshoots, are in order.
    np.testing.assert_array_equal(AugMix(seed=1)(0 * FLOATS), 0)
    AugMix()(FLOATS * 1.2 - 25.0)
