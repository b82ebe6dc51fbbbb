"""`python -m noisymix_tf.train` with one more network, `--model=tiny`.

Its step is traced within a second, and its epochs take milliseconds.
"""

import runpy

import keras
from keras import layers

from noisymix_tf.models.zoo import MODELS, Architecture


def build(input_shape, num_classes, mean, std, width, seed, dropout=0.0):
    init = [keras.initializers.GlorotUniform(seed + k) for k in range(2)]
    image = keras.Input(input_shape)
    x = layers.Rescaling(1 / 127.5, -1.0, name="normalize")(image)
    x = layers.Conv2D(4, 3, 2, kernel_initializer=init[0])(x)
    x = layers.ReLU()(layers.BatchNormalization(name="stage1")(x))
    x = layers.Dropout(dropout, seed=seed)(x) if dropout else x
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(num_classes, kernel_initializer=init[1])(x)
    return keras.Model(image, x)


def register():
    MODELS.register("tiny")(Architecture(build))


if __name__ == "__main__":
    register()
    runpy.run_module("noisymix_tf.train", run_name="__main__", alter_sys=True)
