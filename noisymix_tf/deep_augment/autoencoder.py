"""A small convolutional autoencoder, and its training."""

import keras
import numpy as np
import tensorflow as tf

from noisymix_tf import data
from noisymix_tf.models.common import layer_seed

# Both halves halve or double the image twice.
STRIDE = 4
CODE_CHANNELS = 32
_BLOCKS = 2
# Steps that the error is a mean over.
_LAST = 20
# Crops that it is trained on have at most this side.
_CROP = 32


def build(width=48, seed=0):
    """An untrained autoencoder for images of any size.

    Like the compressive autoencoder of arXiv:1703.00395, but smaller and
    without rounding of the code: two convolutions of stride 2, residual blocks
    and a code of 32 channels at a quarter of the resolution; then back.

    Args:
        width: Channels of hidden layers.
        seed: Seed of its weights.

    Returns:
        `keras.Model` from float32 RGB `[B, h, w, 3]`, 0..255, of which h and w
        are multiples of 4, to the same. Its layers "encoder" and "decoder" are
        models with the code, `[B, h/4, w/4, 32]` in [-1, 1], between them.
    """

    def conv(x, filters, size, name, stride=1, activation=None, up=False):
        layer = keras.layers.Conv2DTranspose if up else keras.layers.Conv2D
        return layer(
            filters,
            size,
            strides=stride,
            padding="same",
            activation=activation,
            kernel_initializer=keras.initializers.GlorotUniform(
                layer_seed(seed, name)
            ),
            name=name,
        )(x)

    def block(x, name):
        y = conv(x, width, 3, f"{name}_conv1", activation="leaky_relu")
        y = conv(y, width, 3, f"{name}_conv2")
        return keras.layers.Add(name=f"{name}_add")([x, y])

    images = keras.Input((None, None, 3), name="images")
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="scale")(images)
    x = conv(x, width, 5, "encoder_conv1", 2, "leaky_relu")
    x = conv(x, width, 5, "encoder_conv2", 2, "leaky_relu")
    for number in range(1, _BLOCKS + 1):
        x = block(x, f"encoder_block{number}")
    x = conv(x, CODE_CHANNELS, 5, "code", activation="tanh")
    encoder = keras.Model(images, x, name="encoder")

    code = keras.Input((None, None, CODE_CHANNELS), name="code")
    x = conv(code, width, 3, "decoder_conv1", activation="leaky_relu")
    for number in range(1, _BLOCKS + 1):
        x = block(x, f"decoder_block{number}")
    x = conv(x, width, 4, "decoder_conv2", 2, "leaky_relu", up=True)
    x = conv(x, 3, 4, "decoder_conv3", 2, up=True)
    x = keras.layers.Rescaling(127.5, 127.5, name="unscale")(x)
    decoder = keras.Model(code, x, name="decoder")
    return keras.Model(images, decoder(encoder(images)), name="autoencoder")


def trained(source, config, seed=0):
    """Trains an autoencoder to reproduce crops of images.

    Args:
        source: `noisymix_tf.image_trees.Source`.
        config: `noisymix_tf.config.deepaugment.AutoencoderConfig`.
        seed: Seed of weights, crops and order.

    Returns:
        `(autoencoder, error)`: the model, and the root of the mean squared
        error of its last steps in grey levels.
    """
    crops = _crops(source, config.autoencoder_crops, seed)
    split = data.ArraySplit(crops, np.zeros(len(crops), np.int32))
    batch_size = min(config.autoencoder_batch_size, len(split))
    batches = data.views(split, batch_size=batch_size, seed=seed)
    model = build(config.autoencoder_width, seed)
    rate = keras.optimizers.schedules.CosineDecay(
        config.learning_rate, config.autoencoder_steps
    )
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(images):
        images = tf.cast(images, tf.float32)
        with tf.GradientTape() as tape:
            # Of pixels scaled to [-1, 1].
            loss = tf.reduce_mean(((images - model(images)) / 127.5) ** 2)
        variables = model.trainable_variables
        optimizer.apply_gradients(
            zip(tape.gradient(loss, variables), variables)
        )
        return loss

    losses = [
        step(views[:, 0]).numpy()
        for views, _ in batches.take(config.autoencoder_steps)
    ]
    return model, 127.5 * float(np.sqrt(np.mean(losses[-_LAST:])))


def _crops(source, number, seed):
    """Square crops, as many of each image, uint8 `[N, side, side, 3]`."""
    side = min(_CROP, *(min(size) for size in source.sizes))
    side = max(STRIDE, side // STRIDE * STRIDE)
    chosen = np.linspace(0, len(source) - 1, min(number, len(source)))
    each = number // len(chosen)
    crops = []
    for position in chosen.astype(int):
        image = padded(source.read([position]))[0]
        generator = np.random.default_rng([seed, int(position)])
        rest = np.array(image.shape[:2]) - side
        for top, left in generator.integers(0, rest + 1, (each, 2)):
            crops.append(image[top : top + side, left : left + side])
    return np.array(crops)


def padded(images):
    """Images `[B, h, w, 3]` with edges repeated below and to the right.

    So that both sides are multiples of `STRIDE`.
    """
    below, right = (-length % STRIDE for length in images.shape[1:3])
    return np.pad(images, [(0, 0), (0, below), (0, right), (0, 0)], "edge")
