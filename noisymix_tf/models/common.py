"""Parts that the networks share, made of built-in Keras layers only.

A saved model therefore loads with plain `keras.models.load_model`. Each layer
starts from a seed of its own, so that a network is a pure function of the
arguments it is built with.
"""

import zlib

import numpy as np

from noisymix_tf.checks import is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras

# Of each channel, for pixels scaled to 0..1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def layer_seed(seed, name):
    """Derives the seed of one layer from the model's seed and its name."""
    if not is_whole(seed) or seed < 0:
        raise UsageError(f"seed is {seed!r}; give an integer of at least 0.")
    words = np.random.SeedSequence([int(seed), zlib.crc32(name.encode())])
    return int(words.generate_state(1)[0] >> 1)


def _normal(fan, seed):
    return keras.initializers.RandomNormal(0.0, (2 / fan) ** 0.5, seed)


# Laws of initial weights: Keras initializers of a unit's numbers of inputs and
# outputs (of a convolution, times the pixels of its window) and a seed.
# PyTorch's default, uniform within ±1/sqrt(fan_in), and He et al. (2015),
# section 2.2, forward and backward.
LAWS = {
    "uniform": lambda fan_in, fan_out, seed: keras.initializers.RandomUniform(
        -(fan_in**-0.5), fan_in**-0.5, seed
    ),
    "he_fan_in": lambda fan_in, fan_out, seed: _normal(fan_in, seed),
    "he_fan_out": lambda fan_in, fan_out, seed: _normal(fan_out, seed),
    "zeros": lambda fan_in, fan_out, seed: keras.initializers.Zeros(),
}


class Network:
    """Makes the layers of one network, from pixels to logits.

    Args:
        halvings: How many times the network halves the image.
        kernel: One of `LAWS`, which the kernels of its convolutions follow.
        use_bias: Whether they have a bias.
        **options: The rest is as `noisymix_tf.models.build` says.

    Attributes:
        pixels: What the layer `"normalize"` puts out.
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
        if num_classes < 2:
            raise UsageError(f"num_classes is {num_classes}; give at least 2.")
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout is {dropout}; give a rate in [0, 1).")
        if not 0 < width < np.inf:
            raise UsageError(
                f"width is {width}; give a positive multiplier such as 1.0 or "
                f"0.25."
            )
        shape = _checked_shape(input_shape, 2**halvings)
        mean = _per_channel("mean", mean, shape[2])
        std = _per_channel("std", std, shape[2])
        if min(std) <= 0:
            raise UsageError(f"std is {std}; give positive numbers.")
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
        options = self._named(name, fans, kernel=self._kernel, bias="uniform")
        options |= {"padding": padding, "use_bias": self._use_bias}
        return keras.layers.Conv2D(filters, size, stride, **options)(x)

    def _named(self, name, fans, **laws):
        """A layer's name and where its weights start."""
        options = {"name": name}
        for weight, law in laws.items():
            seed = layer_seed(self._seed, f"{name}/{weight}")
            options[f"{weight}_initializer"] = LAWS[law](*fans, seed)
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
        """Residual stages; each but the first halves the image.

        Args:
            x: Input of the first.
            block: Function of `(network, x, filters, name, stride, output)`,
                where `output` is the name of the block's last layer or None.
            base: Channels of the first; each has twice those of the last.
            counts: Number of blocks of each; layer `"stage{i}"` ends it.
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
        options = self._named("logits", fans, kernel=kernel, bias=bias)
        logits = keras.layers.Dense(fans[1], dtype="float32", **options)(x)
        return keras.Model(self._images, logits, name=name)


def _checked_shape(input_shape, smallest):
    shape = tuple(input_shape)
    if len(shape) != 3 or not isinstance(shape[2], (int, np.integer)):
        raise UsageError(
            f"input_shape is {shape}; give (height, width, channels)."
        )
    if shape[2] < 1:
        raise UsageError(f"input_shape {shape} has no channels.")
    if any(side is not None and side < smallest for side in shape[:2]):
        raise UsageError(
            f"input_shape {shape} is too small for this network, which needs "
            f"at least {smallest} pixels a side."
        )
    return shape


def _per_channel(what, values, num_channels):
    if np.ndim(values) == 0:
        values = [values] * num_channels
    if len(values) != num_channels:
        raise UsageError(
            f"{what} has {len(values)} values but the images have "
            f"{num_channels} channels; give one value for each, or a float."
        )
    return [float(value) for value in values]
