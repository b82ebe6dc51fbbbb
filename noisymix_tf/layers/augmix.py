"""AugMix as a Keras-CV augmentation layer."""

import dataclasses
import math

import keras
import keras_cv
import tensorflow as tf

from noisymix_tf import distribution, rng
from noisymix_tf.augment import AugMixOptions, augmix, augmix_views
from noisymix_tf.checks import checked_seed, is_real, whole_number
from noisymix_tf.errors import UsageError
from noisymix_tf.layers.features import call_counter

_IMAGES = "images"
# What AugMix would have to move together with the pixels.
_GEOMETRY = {"bounding_boxes", "keypoints", "segmentation_masks"}


@keras.saving.register_keras_serializable("noisymix_tf")
class AugMix(keras_cv.layers.VectorizedBaseImageAugmentationLayer):
    """Mixes each image with chains of random operations on it.

        view = (1 - m) * x + m * sum_i w_i chain_i(x)

    drawn anew for every image as in `noisymix_tf.augment.augmix`, which works
    on 8-bit images as the reference does: floats are scaled to 0..255 and
    rounded first. What comes back, in the layer's compute dtype, is in
    `value_range` again, neither rounded nor clipped.

    The layer goes wherever Keras-CV's augmentations go. It augments by default;
    inside a model it follows `training`, and at inference images come back as
    they are. `model(x)` and `model.export` leave `training` open, and the
    default counts: say `training=False`, as `noisymix_tf.export` does.

    Call number `n`, counted from 0 and saved with the weights, draws with the
    seed `rng.stream(seed, n, "augmix", replica)`. Where calls run in parallel,
    as in `Dataset.map`, their order is not fixed: give the seed of each call.

    Args:
        severity, width, depth, alpha, all_ops: See `augment.AugMixOptions`.
        value_range: Lowest and highest pixel value, black and white.
        num_views: None for one augmented image in the place of each, or the
            number of views, the first of which is the clean one, `[B,
            num_views, H, W, C]`, as the trainer `NoisyMix` takes them.
        seed: Seed of the layer's draws, a Python int.

    Call arguments:
        inputs: Images `[B, H, W, C]` or one image `[H, W, C]`, uint8 (for the
            range 0 to 255) or float, C of 1 or 3, height and width static; or a
            dict with such `"images"`, whose other entries pass untouched, but
            for boxes, keypoints and masks: these are refused.
        seed: int `[2]`, the stateless seed of this call, which is not counted.
        training: Python bool: whether to augment.

    Example, of a pipeline that runs in parallel and repeats exactly:

    >>> augmix = AugMix(num_views=3)
    >>> images = tf.data.Dataset.from_tensors(tf.zeros([4, 8, 8, 3], tf.uint8))
    >>> views = images.repeat().enumerate().map(
    ...     lambda step, batch: augmix(batch, seed=[0, step]),
    ...     num_parallel_calls=tf.data.AUTOTUNE,
    ... )
    >>> views.element_spec.shape
    TensorShape([4, 3, 8, 8, 3])

    Reference: Hendrycks et al., AugMix, arXiv:1912.02781, Algorithm 1.
    """

    def __init__(
        self,
        severity=3,
        width=3,
        depth=-1,
        alpha=1.0,
        all_ops=False,
        value_range=(0, 255),
        num_views=None,
        seed=0,
        **kwargs,
    ):
        # With a seed of None or 0, the generator of the base class, which is
        # never used, would be one that `enable_op_determinism` forbids.
        super().__init__(seed=1, **kwargs)
        self._options = AugMixOptions(severity, width, depth, alpha, all_ops)
        self.value_range = _checked_range(value_range)
        if num_views is not None:
            num_views = whole_number("num_views", num_views, 2)
        self.num_views = num_views
        self.seed = checked_seed(seed)
        if not keras.backend.is_float_dtype(self.compute_dtype):
            raise UsageError(
                f"dtype={self.compute_dtype!r} cannot hold what AugMix gives, "
                f"which is not rounded; use a float type."
            )
        # The state of `RngReadAndSkip`, of which the first number counts.
        self.calls = call_counter(self, (3,))
        self.built = True

    @tf.autograph.experimental.do_not_convert
    def __call__(self, inputs, **kwargs):
        # Keras refuses lists of both numbers and tensors, as [0, step] is one.
        if kwargs.get("seed") is not None:
            seed = kwargs["seed"] = tf.cast(kwargs["seed"], tf.int32)
            if seed.shape != [2]:
                raise UsageError(
                    f"seed of shape {seed.shape} must be two whole numbers, "
                    f"such as seed=[0, step]."
                )
        return super().__call__(inputs, **kwargs)

    def call(self, inputs, seed=None, training=True):
        entries = _entries(inputs)
        images = entries[_IMAGES]
        single = len(images.shape) == 3
        if single:
            images = images[tf.newaxis]
        if training:
            images = self._augmented(images, seed)
        elif self.num_views is not None:
            images = tf.repeat(images[:, tf.newaxis], self.num_views, 1)
        images = tf.cast(images[0] if single else images, self.compute_dtype)
        return _as_given(inputs, entries, images)

    def _augmented(self, images, seed):
        seed = self._next_seed() if seed is None else seed
        pixels = _eight_bit(images, self.value_range)
        options, function = dataclasses.asdict(self._options), augmix
        if self.num_views is not None:
            options["num_views"], function = self.num_views, augmix_views
        result = function(pixels, seed, **options)
        low, high = self.value_range
        return result * ((high - low) / 255.0) + low

    def _next_seed(self):
        calls = self.calls.value
        if tf.distribute.in_cross_replica_context():
            # A pipeline made in a strategy's scope runs on no replica.
            strategy = tf.distribute.get_strategy()
            calls = strategy.experimental_local_results(calls)[0]
        # Reads and advances at once, so that no two calls that run in parallel
        # get the same number. One step is 256 counts.
        state = tf.raw_ops.RngReadAndSkip(
            resource=calls.handle, alg=1, delta=tf.constant(1, tf.uint64)
        )
        number = state[0] // 256
        replica, _ = distribution.replica()
        return rng.stream(self.seed, number, "augmix", replica)

    def compute_output_spec(self, inputs, seed=None, training=True):
        entries = _entries(inputs)
        shape = list(entries[_IMAGES].shape)
        if self.num_views is not None:
            shape.insert(-3, self.num_views)
        images = keras.KerasTensor(shape, dtype=self.compute_dtype)
        # An output of the layer must not be its input.
        others = {
            key: keras.KerasTensor(value.shape, dtype=value.dtype)
            for key, value in entries.items()
        }
        return _as_given(inputs, others, images)

    def get_config(self):
        names = "value_range", "num_views", "seed"
        own = {name: getattr(self, name) for name in names}
        options = dataclasses.asdict(self._options)
        return {**super().get_config(), **options, **own}


def _as_given(inputs, entries, images):
    """A dict with the images where one was given, else the images."""
    is_dict = isinstance(inputs, dict)
    return {**entries, _IMAGES: images} if is_dict else images


def _entries(inputs):
    """The entries of a call by name, with images of a rank that fits."""
    entries = dict(inputs) if isinstance(inputs, dict) else {_IMAGES: inputs}
    if _IMAGES not in entries:
        raise UsageError(
            f"AugMix found no 'images' among {sorted(entries)}; name them so."
        )
    for name in sorted(_GEOMETRY & entries.keys()):
        raise UsageError(
            f"AugMix cannot take {name!r}: it mixes images that are moved in "
            f"several ways; leave that entry out or use another layer."
        )
    images = entries[_IMAGES]
    if isinstance(images, tf.RaggedTensor):
        raise UsageError(
            "AugMix cannot take ragged images; resize them to one size first, "
            "as with keras.layers.Resizing."
        )
    if not isinstance(images, keras.KerasTensor):
        images = tf.convert_to_tensor(images)
    if len(images.shape) not in (3, 4):
        raise UsageError(
            f"AugMix takes images [B, H, W, C] or one image [H, W, C], got "
            f"shape {tuple(images.shape)}."
        )
    return {**entries, _IMAGES: images}


def _eight_bit(images, value_range):
    """Images as uint8, scaled from their range and rounded."""
    low, high = value_range
    if images.dtype == tf.uint8:
        if value_range != (0, 255):
            raise UsageError(
                f"uint8 images have pixels 0 to 255, not "
                f"value_range={value_range}; give value_range=(0, 255)."
            )
        return images
    images = tf.cast(images, tf.float32)
    levels = (images - low) * (255.0 / (high - low))
    # Resizing may overshoot a little, and what it does is cut off.
    within = tf.reduce_all((levels >= -128.0) & (levels <= 383.0))
    true = f"value_range={value_range}; give their true range, such as (0, 1)."
    message = f"The images have pixels far outside of {true}"
    if not tf.executing_eagerly():
        tf.debugging.Assert(within, [message])
    elif not within:
        raise UsageError(message)
    elif high - low >= 100 and tf.reduce_all(tf.abs(images) <= 1.0):
        if tf.reduce_any(images != tf.round(images)):
            raise UsageError(
                f"The images have pixels in [-1, 1] only, not {true}"
            )
    return tf.cast(tf.round(tf.clip_by_value(levels, 0.0, 255.0)), tf.uint8)


def _checked_range(value_range):
    ok = isinstance(value_range, tuple | list) and len(value_range) == 2
    ok = ok and all(is_real(v) and math.isfinite(v) for v in value_range)
    if not ok or not value_range[0] < value_range[1]:
        raise UsageError(
            f"value_range={value_range!r} must be the lowest and the highest "
            f"pixel value, such as (0, 255) or (0, 1)."
        )
    return tuple(value_range)
