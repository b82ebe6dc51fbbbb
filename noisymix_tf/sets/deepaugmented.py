"""DeepAugment: training images through a perturbed image-to-image network.

Hendrycks et al. (2021), "The many faces of robustness", arXiv:2006.16241, send
ImageNet through a published autoencoder and a super-resolution network, which
they distort. Here it is a small autoencoder that is trained on the same images.

A perturbation is a function `(array, generator, strength) -> array`: NumPy
float32, a kernel `[h, w, in, out]` or a code `[B, h, w, C]` in [-1, 1]. At
strength 0 it is what it was; shares and amounts grow linearly. Those at 1 are
like those of the published code, for the residual blocks of EDSR and the code
of a compressive autoencoder.
"""

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import data
from noisymix_tf.models.common import layer_seed

# Of the autoencoder: both halves halve or double the image twice.
_STRIDE, _CODE_CHANNELS, _BLOCKS = 4, 32, 2
# Steps that the error is a mean over; the largest side of a crop.
_LAST, _CROP = 20, 32
# Of an array, what is drawn for at a time.
_ALL, _PLACES, _CHANNELS = np.s_[:], np.s_[1:3], np.s_[-1:]


def trained(source, config, seed=0) -> tuple[keras.Model, float]:
    """Trains an autoencoder to reproduce crops of the images of a `Source`.

    Weights, crops and order depend on the seed; the rest says an
    `AutoencoderConfig`. Also returns the RMS error of the last steps, in grey
    levels.
    """
    crops = _crops(source, config.autoencoder_crops, seed)
    split = data.ArraySplit(crops, np.zeros(len(crops), np.int32))
    batch_size = min(config.autoencoder_batch_size, len(split))
    batches = data.views(split, batch_size=batch_size, seed=seed)
    model = build(config.autoencoder_width, seed)
    steps = config.autoencoder_steps
    rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images):
        images = tf.cast(images, tf.float32)
        with tf.GradientTape() as tape:
            # Of pixels scaled to [-1, 1].
            loss = tf.reduce_mean(((images - model(images)) / 127.5) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    losses = [step(views[:, 0]).numpy() for views, _ in batches.take(steps)]
    return model, 127.5 * float(np.sqrt(np.mean(losses[-_LAST:])))


def _crops(source, number, seed):
    """Square crops, about as many of each image, uint8 `[N, s, s, 3]`."""
    side = min(_CROP, *(min(size) for size in source.sizes))
    side = max(_STRIDE, side // _STRIDE * _STRIDE)
    chosen = np.linspace(0, len(source) - 1, min(number, len(source)))
    each, more = divmod(number, len(chosen))
    crops = []
    for place, position in enumerate(chosen.astype(int).tolist()):
        image = padded(source.read([position]))[0]
        generator = np.random.default_rng([seed, position])
        most = np.array(image.shape[:2]) - side + 1
        size = each + (place < more), 2
        for top, left in generator.integers(0, most, size):
            crops.append(image[top : top + side, left : left + side])
    return np.array(crops)


def padded(images) -> np.ndarray:
    """`[B, h, w, 3]`, edges repeated so that the network's stride divides."""
    below, right = (-length % _STRIDE for length in images.shape[1:3])
    return np.pad(images, [(0, 0), (0, below), (0, right), (0, 0)], "edge")


def build(width=48, seed=0) -> keras.Model:
    """An untrained autoencoder of hidden layers of `width` channels.

    Like the compressive autoencoder of arXiv:1703.00395, but smaller and
    without rounding of the code: two convolutions of stride 2, residual blocks
    and a code of 32 channels at a quarter of the resolution; then back. From
    and to float32 RGB `[B, h, w, 3]`, 0..255, of which h and w are multiples of
    4; the layers "encoder" and "decoder" are models, with the code
    `[B, h/4, w/4, 32]` in [-1, 1] between them.
    """

    def conv(x, filters, size, name, stride=1, how="leaky_relu", up=False):
        layer = keras.layers.Conv2DTranspose if up else keras.layers.Conv2D
        law = keras.initializers.GlorotUniform(layer_seed(seed, name))
        shared = {"padding": "same", "kernel_initializer": law, "name": name}
        return layer(filters, size, stride, activation=how, **shared)(x)

    def blocks(x, half):
        for name in (f"{half}_block{n}" for n in range(1, _BLOCKS + 1)):
            y = conv(x, width, 3, f"{name}_conv1")
            y = conv(y, width, 3, f"{name}_conv2", how=None)
            x = keras.layers.Add(name=f"{name}_add")([x, y])
        return x

    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="scale")(images)
    x = conv(x, width, 5, "encoder_conv1", 2)
    x = blocks(conv(x, width, 5, "encoder_conv2", 2), "encoder")
    x = conv(x, _CODE_CHANNELS, 5, "code", how="tanh")
    encoder = keras.Model(images, x, name="encoder")

    code = keras.Input((None, None, _CODE_CHANNELS), name="code")
    x = blocks(conv(code, width, 3, "decoder_conv1"), "decoder")
    x = conv(x, width, 4, "decoder_conv2", 2, up=True)
    x = conv(x, 3, 4, "decoder_conv3", 2, how=None, up=True)
    x = keras.layers.Rescaling(127.5, 127.5, name="unscale")(x)
    decoder = keras.Model(code, x, name="decoder")
    return keras.Model(images, decoder(encoder(images)), name="autoencoder")


class PerturbedNetwork:
    """An autoencoder that is another one for every batch.

    Of the residual blocks, whose input goes on beside them,
    `weight_perturbations` convolutions are chosen and each perturbed in a
    random way; then the code is, in one. At strength 0 it is the plain one.
    """

    def __init__(self, autoencoder, strength=1.0, weight_perturbations=3):
        encoder, decoder = map(autoencoder.get_layer, ("encoder", "decoder"))
        self._strength = strength
        self._kernels = [
            layer.kernel
            for layer in (*encoder.layers, *decoder.layers)
            if "_block" in layer.name and hasattr(layer, "kernel")
        ]
        self._plain = [kernel.numpy() for kernel in self._kernels]
        self._number = min(weight_perturbations, len(self._kernels))
        self._encode, self._decode = _compiled(encoder), _compiled(decoder)

    def __call__(self, images, generator) -> np.ndarray:
        """Distorts uint8 `[B, h, w, 3]`; a function of its arguments."""
        number, of_code = len(self._kernels), OF_CODES
        for place in generator.choice(number, self._number, replace=False):
            ways, kernel = OF_WEIGHTS, self._plain[place]
            self._kernels[place].assign(self._any(ways, kernel, generator))
        try:
            pixels = padded(images).astype(np.float32)
            code = self._encode(pixels).numpy()
            made = self._decode(self._any(of_code, code, generator)).numpy()
        finally:
            for kernel, plain in zip(self._kernels, self._plain):
                kernel.assign(plain)
        height, width = images.shape[1:3]
        made = np.clip(np.round(made[:, :height, :width]), 0, 255)
        return made.astype(np.uint8)

    def _any(self, ways, array, generator):
        """An array, perturbed in one of several ways, in single precision."""
        perturb = [*ways.values()][generator.integers(len(ways))]
        return perturb(array, generator, self._strength).astype(np.float32)


def _compiled(model):
    """One function for images of all sizes."""
    shape = [None, None, None, model.inputs[0].shape[-1]]
    return tf.function(model, input_signature=[tf.TensorSpec(shape)])


def _some(share, axes, change):
    """A perturbation: `change(array, generator)` at a share, drawn by axes."""

    def perturb(array, generator, strength):
        chosen = generator.uniform(size=array.shape[axes]) < share * strength
        if axes == _PLACES:
            chosen = chosen[..., None]
        return np.where(chosen, change(array, generator), array)

    return perturb


def _swap(share):
    """A perturbation: a share of filters or channels in another order."""

    def perturb(array, generator, strength):
        drawn = generator.uniform(size=array.shape[-1]) < share * strength
        chosen, swapped = np.flatnonzero(drawn), array.copy()
        swapped[..., chosen] = array[..., generator.permutation(chosen)]
        return swapped

    return perturb


def scale(array, generator, strength) -> np.ndarray:
    """Multiplies each by its own 1 plus up to twice u, drawn once in [0, 1]."""
    amount = 2 * strength * generator.uniform()
    return array * (1 + amount * generator.uniform(-1, 1, array.shape))


def shift(code, generator, strength) -> np.ndarray:
    """Moves a half of the channels by one place, each in its own direction."""
    chosen = generator.uniform(size=code.shape[-1]) < 0.5 * strength
    shifted = code.copy()
    for channel in np.flatnonzero(chosen):
        step = generator.integers(-1, 2, 2)
        shifted[..., channel] = np.roll(code[..., channel], step, (1, 2))
    return shifted


def mix(code, generator, strength) -> np.ndarray:
    """Adds to each channel up to a tenth of each other one."""
    shape = code.shape[-1], code.shape[-1]
    return code + code @ (generator.uniform(-0.1, 0.1, shape) * strength)


def _zero(array, generator):
    return np.zeros_like(array)


def _negate(array, generator):
    return -array


def _flip(code, generator):
    """Up and down, or left and right: all channels alike."""
    return np.flip(code, int(generator.integers(1, 3)))


# By name, in the order in which draws number them.
OF_WEIGHTS = {
    "zero": _some(0.5, _ALL, _zero),
    "negate": _some(0.5, _ALL, _negate),
    "negate_filters": _some(0.4, _CHANNELS, _negate),
    "scale": scale,
    "transpose": _some(0.5, _CHANNELS, lambda k, _: k.transpose(1, 0, 2, 3)),
    "swap": _swap(0.5),
}
OF_CODES = {
    "zero": _some(0.2, _PLACES, _zero),
    "negate": _some(0.1, _PLACES, _negate),
    "swap": _swap(1 / 3),
    "flip": _some(1 / 6, _CHANNELS, _flip),
    "shift": shift,
    "mix": mix,
    "scale": scale,
}
