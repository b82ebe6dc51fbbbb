"""The AugMix layer: its pixels, its draws, and where it can stand."""

import keras
import keras_cv
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal as same

from noisymix_tf import rng
from noisymix_tf.augment import augmix_views
from noisymix_tf.layers import AugMix
from support.fit_models import two_replicas
from support.layer_contract import assert_layer_contract
from support.usage import assert_usage_error

SHAPE, SMALL = (8, 8, 3), {"width": 1, "depth": 3}
IMAGES = tf.random.stateless_uniform([2, *SHAPE], [0, 1], 0, 256, tf.int32)
IMAGES = tf.cast(IMAGES, tf.uint8)
FLOATS = tf.cast(IMAGES, tf.float32)
MIRRORED = two_replicas()
ONE = {"augmentations_per_image": 1, "seed": 1}
PIPELINES = [("Augmenter", {}), ("RandomChoice", {"seed": 1})]
PIPELINES += [("RandomAugmentationPipeline", ONE)]


@pytest.fixture(autouse=True)
def without_compilation():
    """Other numbers than compiled, but the same for layer and function."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def stream(call, seed=0, replica=0):
    """The stateless seed that the layer's call of that number must have."""
    return rng.stream(seed, call, "augmix", replica)


def layer_of(**options):
    return AugMix(**SMALL, **options)


def expected(images, key):
    return augmix_views(images, key, num_views=2, **SMALL)[:, 1].numpy()


def test_contract_for_views_of_floats(tmp_path):
    layer = layer_of(name="augmix", value_range=(0, 1), num_views=2, seed=2)
    more = {"expected_shape": (2, 2, *SHAPE), "atol": 1e-5}
    assert_layer_contract(layer, FLOATS / 255.0, tmp_path=tmp_path, **more)


def test_calls_give_the_pixels_of_the_function_of_their_options():
    seen = set()
    for seed in (0, 9):
        one, two = layer_of(seed=seed), layer_of(seed=seed)
        for call in range(2):
            view = expected(IMAGES, stream(call, seed))
            same(one(IMAGES), view)
            same(two(IMAGES), view)
            seen.add(view.tobytes())
    # One that is given a seed is not counted.
    same(one(IMAGES, seed=[3, 4]), expected(IMAGES, [3, 4]))
    same(one(IMAGES), expected(IMAGES, stream(2, 9)))
    assert len(seen) == 4
    same(AugMix()(IMAGES), augmix_views(IMAGES, stream(0), num_views=2)[:, 1])
    options = {"severity": 1, "width": 2, "depth": 1, "num_views": 3}
    options |= {"alpha": 0.5, "all_ops": True}
    images = IMAGES[..., :1]
    layer = AugMix(**options)
    views = layer(images)
    same(views, augmix_views(images, stream(0), **options))
    same(views[:, 0], FLOATS[..., :1])
    assert options.items() <= layer.get_config().items()
    symbolic = layer(keras.Input((16, 16, 3), batch_size=5))
    assert symbolic.shape == (5, 3, 16, 16, 3)


@pytest.mark.slow
def test_compiled_pipelines_repeat_with_seeds_and_never_share_a_number():
    tf.config.run_functions_eagerly(False)
    layer = layer_of()

    def views(step, images):
        seeds = ([0, step], stream(step))
        made = [augmix_views(images, s, num_views=2, **SMALL) for s in seeds]
        return layer(images, seed=[0, step]), layer(images), *made

    data = tf.data.Dataset.from_tensor_slices(IMAGES).batch(2).repeat(24)
    data = data.enumerate().map(views, num_parallel_calls=8)
    # The last batch of a pipeline may be smaller.
    assert data.element_spec[0].shape == [None, *SHAPE]
    wanted, found = [], []
    for seeded, counted, by_seed, by_stream in data:
        same(seeded, by_seed[:, 1])
        found.append(counted.numpy().tobytes())
        wanted.append(by_stream[:, 1].numpy().tobytes())
    assert sorted(found) == sorted(wanted) and len({*found}) > 12
    program = tf.function(layer_of(), jit_compile=True)
    assert program(IMAGES).numpy().tobytes() == wanted[0]
    data = tf.data.Dataset.from_tensor_slices(FLOATS).batch(2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="far outside"):
        next(iter(data.map(layer_of(value_range=(0, 1)))))


@pytest.mark.parametrize("low, high", [(0, 255), (0, 1), (-1.0, 1.0)])
def test_floats_are_rounded_to_8_bit_and_come_back_in_their_range(low, high):
    # Within half a level of the byte, but for what lies outside of the range.
    shift = tf.random.stateless_uniform(IMAGES.shape, [3, 4], -0.49, 0.49)
    floats = low + (FLOATS + shift) * ((high - low) / 255)
    view = layer_of(value_range=(low, high))(floats)
    wanted = low + expected(IMAGES, stream(0)) * ((high - low) / 255)
    np.testing.assert_allclose(view, wanted, atol=1e-6 * (high - low))
    # Neither rounded nor clipped at the end.
    levels = (np.array(view) - low) * 255 / (high - low)
    assert np.abs(levels - np.round(levels)).max() > 0.1


def test_entries_beside_images_pass_and_models_augment_in_training_only():
    entries = {"images": IMAGES, "names": tf.constant(["a", "b"])}
    result = layer_of()(entries)
    assert result.keys() == entries.keys()
    assert result["names"] is entries["names"]
    same(result["images"], expected(IMAGES, stream(0)))
    single = layer_of()({"images": IMAGES[0], "labels": tf.constant(2)})
    assert single["labels"].shape == []
    same(single["images"], expected(IMAGES[:1], stream(0))[0])
    model = keras.Sequential([keras.Input(SHAPE), layer_of()])
    same(model.predict(FLOATS, verbose=0), FLOATS)
    same(model(FLOATS, training=True), expected(IMAGES, stream(0)))
    # Not named, `training` is what it is for other augmentations of Keras.
    assert (model(FLOATS) != model(FLOATS, training=False)).numpy().any()
    choice = keras_cv.layers.RandomChoice([layer_of()], seed=1)
    nested = keras.Sequential([keras.Input(SHAPE), choice])
    same(nested.predict(FLOATS, verbose=0), FLOATS)


@pytest.mark.parametrize("name, options", PIPELINES)
def test_it_drops_into_keras_cv_pipelines(name, options):
    augment = getattr(keras_cv.layers, name)([layer_of()], **options)
    batch = {"images": IMAGES, "labels": tf.one_hot(tf.range(2), 2)}
    result = augment(batch)
    same(result["labels"], np.eye(2))
    views = expected(IMAGES, stream(0))
    if name != "Augmenter":
        # These hand over one image at a time.
        views = [expected(IMAGES[i : i + 1], stream(i))[0] for i in range(2)]
    same(result["images"], views)
    tf.config.run_functions_eagerly(False)
    mapped = tf.data.Dataset.from_tensors(batch).map(augment)
    assert mapped.element_spec["images"].shape[1:] == SHAPE


def test_replicas_draw_differently():
    with MIRRORED.scope():
        layer = layer_of()
    for call in range(2):
        views = MIRRORED.run(lambda: layer(IMAGES)).values
        for replica, view in enumerate(views):
            same(view, expected(IMAGES, stream(call, replica=replica)))


@pytest.mark.slow
@pytest.mark.usefixtures("determinism")
def test_pipelines_count_once_in_a_strategy_and_when_deterministic():
    """A global generator is refused where operations are deterministic."""
    tf.config.run_functions_eagerly(False)
    data = tf.data.Dataset.from_tensors(IMAGES).repeat(3)
    views = [expected(IMAGES, stream(call)) for call in range(3)]
    same(list(data.map(layer_of(), 2)), views)
    with MIRRORED.scope():
        same(list(data.map(layer_of())), views)


def test_refuses_arguments_and_inputs():
    ranges = [(0, 0), (255, 0), 255, (0, np.inf)]
    for name, value in [
        *(("severity", 11), ("width", 0), ("num_views", 1), ("seed", None)),
        *(("value_range", each) for each in ranges),
        ("dtype", "uint8"),
    ]:
        call = lambda: AugMix(**{name: value})  # noqa: B023, E731
        assert_usage_error(call, name, repr(value))
    ragged = tf.ragged.stack([tf.zeros([4, 4, 3]), tf.zeros([5, 4, 3])])
    geometry = ("bounding_boxes", "keypoints", "segmentation_masks")
    unit = AugMix(value_range=(0, 1))
    for layer, inputs, words in [
        (AugMix(), {"labels": tf.range(2)}, "no 'images' among ['labels']"),
        (AugMix(), tf.zeros([16, 16]), "got shape (16, 16)"),
        (AugMix(), tf.zeros([4, 8, 8, 4], tf.uint8), "1 or 3 channels"),
        (AugMix(), ragged, "ragged images; resize"),
        *((unit, {"images": IMAGES, x: tf.zeros([4])}, x) for x in geometry),
        (AugMix(), FLOATS * np.nan, "far outside"),
        (AugMix(), FLOATS / 255.0, "[-1, 1] only"),
        (unit, FLOATS, "far outside of value_range=(0, 1)"),
        (unit, IMAGES, "uint8 images have pixels 0 to"),
    ]:
        assert_usage_error(lambda: layer(inputs), words)  # noqa: B023
    assert_usage_error(lambda: unit(IMAGES, seed=5), "two whole numbers")
    # Black images, and what resizing overshoots, are in order.
    same(AugMix(seed=1)(0 * FLOATS), 0)
    AugMix()(FLOATS * 1.2 - 25.0)
