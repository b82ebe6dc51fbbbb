"""What all networks are made of: the layers of Keras, each with its own seed.

A saved model therefore loads with plain `keras.models.load_model`, and a
network is a pure function of the arguments it is built with.
"""

import zlib

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras

# Of each channel, for pixels scaled to 0..1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def layer_seed(seed, name) -> int:
    """Derives the seed of one layer from the model's seed and its name."""
    if not is_whole(seed) or seed < 0:
        raise UsageError(f"seed is {seed!r}; give an integer of at least 0.")
    words = np.random.SeedSequence([int(seed), zlib.crc32(name.encode())])
    return int(words.generate_state(1)[0] >> 1)


class Network:
    """Makes the layers of one network, from pixels to logits.

    It halves the image `halvings` times; `kernel` is the law of `_initializer`
    that its convolutions follow. The rest is as `noisymix_tf.models.build`
    says. `pixels` is what the layer `"normalize"` puts out.
    """

    def __init__(
        self,
        halvings,
        *,
        kernel="uniform",
        use_bias=False,
        input_shape=(32, 32, 3),
        num_classes=10,
        mean=0.5,
        std=0.5,
        width=1.0,
        dropout=0.0,
        seed=0,
    ):
        shape = _checked_shape(input_shape, 2**halvings)
        mean = _per_channel("mean", mean, shape[2])
        std = _per_channel("std", std, shape[2])
        for name, value, is_good, wanted in (
            ("num_classes", num_classes, num_classes >= 2, "at least 2"),
            ("dropout", dropout, 0 <= dropout < 1, "a rate in [0, 1)"),
            ("width", width, 0 < width < np.inf, "a factor such as 1 or 0.25"),
            ("std", std, min(std) > 0, "positive numbers"),
        ):
            if not is_good:
                raise UsageError(f"{name} is {value}; give {wanted}.")
        self._kernel, self._use_bias = kernel, use_bias
        self._num_classes, self._width = num_classes, width
        self._rate, self._seed = dropout, seed
        self._images = keras.Input(shape, name="images")
        # float32 under every policy: half precision has no room for pixels
        # with a fraction, and noise at this point would be rounded.
        self.pixels = keras.layers.Rescaling(
            scale=[1.0 / (255.0 * s) for s in std],
            offset=[-m / s for m, s in zip(mean, std)],
            dtype="float32",
            name="normalize",
        )(self._images)

    def channels(self, base):
        """A channel count times the width; an error if nothing is left."""
        scaled = int(base * self._width)
        if scaled < 1:
            raise UsageError(
                f"width {self._width} leaves none of {base} channels; "
                f"give at least {1 / base:g}."
            )
        return scaled

    def conv(self, x, filters, size, name, stride=1):
        """A convolution of odd size, padded as PyTorch pads `size // 2`."""
        padding = "same"
        if stride > 1 and size > 1:
            # "same" would pad one row fewer above than below.
            x = keras.layers.ZeroPadding2D(size // 2, name=f"{name}_pad")(x)
            padding = "valid"
        elif stride > 1:
            # The same values. TensorFlow's oneDNN gradient of a strided 1 x 1
            # convolution writes out of bounds for odd batch sizes (2.21,
            # AVX-512).
            x, stride = self.subsample(x, stride, f"{name}_stride"), 1
        fans = x.shape[-1] * size**2, filters * size**2
        options = self._named(name, fans, self._kernel, "uniform")
        options |= {"padding": padding, "use_bias": self._use_bias}
        return keras.layers.Conv2D(filters, size, stride, **options)(x)

    def _named(self, name, fans, *laws):
        """A layer's name and where its weights start, by their laws."""
        options = {"name": name}
        for weight, law in zip(("kernel", "bias"), laws):
            seed = layer_seed(self._seed, f"{name}/{weight}")
            options[f"{weight}_initializer"] = _initializer(law, *fans, seed)
        return options

    def subsample(self, x, stride, name):
        """The first of every `stride` rows and columns, as a layer."""
        return keras.layers.AveragePooling2D(1, stride, name=name)(x)

    def norm(self, x, name, momentum=0.9):
        """Normalises with PyTorch's epsilon and Keras' idea of momentum."""
        layer = keras.layers.BatchNormalization
        return layer(momentum=momentum, epsilon=1e-5, name=name)(x)

    def norm_relu(self, x, name, momentum=0.9):
        """Batch normalisation `name`, then ReLU."""
        x = self.norm(x, name, momentum)
        return keras.layers.ReLU(name=f"{name}_relu")(x)

    def dropout(self, x, name):
        """Dropout with a seed of its own; no layer for a rate of zero."""
        if self._rate == 0:
            return x
        seed = layer_seed(self._seed, name)
        return keras.layers.Dropout(self._rate, seed=seed, name=name)(x)

    def stages(self, x, block, base, counts):
        """Residual stages of `counts` blocks, the first with `base` channels.

        A block is a function of `(network, x, filters, name, stride, output)`,
        where `output` is the name of its last layer or None.
        """
        for stage, count in enumerate(counts, 1):
            filters = self.channels(base * 2 ** (stage - 1))
            for index in range(1, count + 1):
                name = f"stage{stage}_block{index}"
                stride = 2 if stage > 1 and index == 1 else 1
                output = f"stage{stage}" if index == count else None
                x = block(self, x, filters, name, stride, output)
        return x

    def model(self, x, name, kernel="uniform", bias="uniform"):
        """The `keras.Model` that pools `x` and ends in `"logits"`, float32."""
        x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
        fans = x.shape[-1], self._num_classes
        options = self._named("logits", fans, kernel, bias)
        logits = keras.layers.Dense(fans[1], dtype="float32", **options)(x)
        return keras.Model(self._images, logits, name=name)


def _initializer(law, fan_in, fan_out, seed):
    """PyTorch's default, `"uniform"`, or He et al. (2015), section 2.2."""
    # The fans are a unit's inputs and outputs, times the pixels of its window.
    if law == "zeros":
        return keras.initializers.Zeros()
    if law == "uniform":
        limit = fan_in**-0.5
        return keras.initializers.RandomUniform(-limit, limit, seed)
    fan = {"he_fan_in": fan_in, "he_fan_out": fan_out}[law]
    return keras.initializers.RandomNormal(0.0, (2 / fan) ** 0.5, seed)


def _checked_shape(input_shape, smallest):
    shape = tuple(input_shape)
    if len(shape) != 3 or not is_whole(shape[2]):
        wanted = "(height, width, channels)"
    elif shape[2] < 1:
        wanted = "at least one channel"
    elif any(side is not None and side < smallest for side in shape[:2]):
        wanted = f"at least {smallest} pixels a side, which the network needs"
    else:
        return shape
    raise UsageError(f"input_shape is {shape}; give {wanted}.")


def _per_channel(what, values, num_channels):
    values = [values] * num_channels if np.ndim(values) == 0 else values
    if len(values) != num_channels:
        raise UsageError(
            f"{what} has {len(values)} values but the images have "
            f"{num_channels} channels; give one value for each, or a float."
        )
    return [float(value) for value in values]
