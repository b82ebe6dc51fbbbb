"""The residual networks of the paper, and those that others publish.

Each builder takes the keyword arguments of `noisymix_tf.models.build` and a
`name`, and returns a functional `keras.Model` from pixels 0..255 `[N, H, W, C]`
to float32 logits `[N, num_classes]`; what cannot be used is a `UsageError`.
Each stage but the first halves the image. Layer `"stage{i}"` puts out the end
of stage i: of `resnet` and `cifar_resnet` after its ReLU, of the others, whose
blocks begin with normalisation, the sum before it.

References: He et al. (2016), "Deep Residual Learning for Image Recognition" and
"Identity Mappings in Deep Residual Networks"; Zagoruyko and Komodakis (2016),
"Wide Residual Networks".
"""

import functools

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras
from noisymix_tf.models.common import IMAGENET_MEAN, IMAGENET_STD, Network
from noisymix_tf.models.zoo import MODELS, Architecture, TorchNames

_BOTTLENECKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def preact_resnet(
    name, *, blocks=(2, 2, 2, 2), base=64, **options
) -> "keras.Model":
    """Builds a pre-activation ResNet with basic blocks and a 3x3 stem.

    As in NoisyMix's network every shortcut, the identity too, starts from the
    normalised and rectified input of its block, and nothing normalises the last
    stage before it is pooled. Kernels start from PyTorch's default. `blocks`
    are the numbers of blocks of the stages, `base` the channels of the first.

    >>> preact_resnet("small", blocks=(1, 1), width=0.25).output_shape
    (None, 10)
    """
    net = Network(len(blocks) - 1, **options)
    x = net.conv(net.pixels, net.channels(base), 3, "stem")
    return net.model(net.stages(x, _preactivated, base, blocks), name)


def wide_resnet(
    depth, widen, *, name=None, dropout=0.1, **options
) -> "keras.Model":
    """Builds NoisyMix's wide ResNet of three stages.

    Every convolution has a bias, the second convolution of a block carries the
    stride, dropout stands between the two, a projection starts from the raw
    input of its block, and the last batch normalisation forgets nine tenths of
    its statistics at every step. Kernels start from PyTorch's default. Of
    `depth` layers, `6 n + 4`, there are n blocks in each stage; their channels
    (16, 32 and 64), but not the stem's (16), are multiplied by `widen`.

    >>> wide_resnet(10, 1).count_params()
    78666
    """
    net = Network(2, use_bias=True, dropout=dropout, **options)
    raw = ("projection", "identity")
    block = functools.partial(_preactivated, raw=raw, strides_first=False)
    return _wide(net, depth, widen, name, block, momentum=0.1)


def augmix_wide_resnet(depth, widen, *, name=None, **options) -> "keras.Model":
    """Builds a `wide_resnet` in the form in which public AugMix weights come.

    Hendrycks et al. (2020), "AugMix", section 4.1: WRN-40-2. No convolution has
    a bias, the first convolution of a block carries the stride, a projection
    starts from the normalised and rectified input of its block, dropout (none
    by default) stands behind the second normalisation, and all batch
    normalisations have the same momentum. Kernels start from He's normal law of
    their outputs, those of the logits from PyTorch's default without a bias.

    >>> augmix_wide_resnet(10, 1).count_params()
    78330
    """
    net = Network(2, kernel="he_fan_out", **options)
    raw = ("identity",)
    block = functools.partial(_preactivated, raw=raw, drops_late=True)
    return _wide(net, depth, widen, name, block, bias="zeros")


def cifar_resnet(depth, *, name=None, **options) -> "keras.Model":
    """Builds a ResNet of three stages of basic blocks behind a 3x3 stem.

    Section 4.2 of "Deep Residual Learning". The stages have 16, 32 and 64
    channels. Shortcuts have no parameters (option A: where a block halves the
    image, its input is subsampled and the new channels are zero, half of them
    on either side as in published PyTorch weights). Kernels start from He's
    normal law of their inputs. Dropout, of which the paper has none, stands
    before the second convolution of a block. Of `depth` layers, `6 n + 2`,
    there are n blocks in each stage.

    >>> cifar_resnet(8, width=0.25).output_shape
    (None, 10)
    """
    blocks = _three_stages("ResNet for small images", depth, 2)
    net = Network(2, kernel="he_fan_in", **options)
    x = net.conv(net.pixels, net.channels(16), 3, "stem")
    x = net.stages(net.norm_relu(x, "stem_bn"), _basic, 16, blocks)
    return net.model(x, name or f"resnet{depth}", kernel="he_fan_in")


def resnet(depth, *, name=None, **options) -> "keras.Model":
    """Builds a ResNet of four stages of bottleneck blocks.

    In torchvision's form: the 3x3 convolution of a block carries the stride,
    and images are padded alike on all sides. The stem brings the image to a
    quarter of its side; the stages put out 256, 512, 1024 and 2048 channels.
    Convolutions start from He's normal law of their outputs, the dense layer
    from PyTorch's default, and every batch normalisation, the last of a block
    too, from a scale of one. Dropout, of which the paper has none, stands
    before the last convolution of a block. It is for ImageNet's 1000 classes,
    224 pixels a side, mean and deviation, where nothing else is given. `depth`
    is 50, 101 or 152.

    >>> resnet(50, width=0.1).output_shape
    (None, 1000)
    """
    if depth not in _BOTTLENECKS:
        raise UsageError(
            f"A ResNet of depth {depth} with bottlenecks does not exist; "
            f"give {', '.join(map(str, _BOTTLENECKS))}."
        )
    own = {"input_shape": (224, 224, 3), "num_classes": 1000}
    own |= {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    net = Network(5, kernel="he_fan_out", **(own | options))
    x = net.conv(net.pixels, net.channels(64), 7, "stem", 2)
    x = net.norm_relu(x, "stem_bn")
    # Behind a ReLU, zeros around the image never win a maximum.
    x = keras.layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
    x = keras.layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    x = net.stages(x, _bottleneck, 64, _BOTTLENECKS[depth])
    return net.model(x, name or f"resnet{depth}")


def _wide(net, depth, widen, name, block, momentum=0.9, bias="uniform"):
    blocks = _three_stages("wide ResNet", depth, 4)
    x = net.conv(net.pixels, net.channels(16), 3, "stem")
    x = net.stages(x, block, 16 * widen, blocks)
    x = net.norm_relu(x, "final_bn", momentum)
    return net.model(x, name or f"wide_resnet{depth}_{widen}", bias=bias)


def _three_stages(kind, depth, others):
    """Numbers of blocks, of two layers each, with `others` outside of them."""
    if depth < 6 + others or (depth - others) % 6:
        raise UsageError(
            f"A {kind} of depth {depth} does not exist; give 6 n + {others}, "
            f"such as {18 + others} or {36 + others}."
        )
    return [(depth - others) // 6] * 3


def _preactivated(
    net,
    x,
    filters,
    name,
    stride,
    output,
    raw=(),
    strides_first=True,
    drops_late=False,
):
    """`raw` are the shortcuts that start from what is not normalised."""
    strides = (stride, 1) if strides_first else (1, stride)
    y = net.norm_relu(x, f"{name}_bn1")
    is_new = stride != 1 or x.shape[-1] != filters
    shortcut = x if ("projection" if is_new else "identity") in raw else y
    if is_new:
        shortcut = net.conv(shortcut, filters, 1, f"{name}_shortcut", stride)
    y = net.conv(y, filters, 3, f"{name}_conv1", strides[0])
    if not drops_late:
        y = net.dropout(y, f"{name}_dropout")
    y = net.norm_relu(y, f"{name}_bn2")
    if drops_late:
        y = net.dropout(y, f"{name}_dropout")
    y = net.conv(y, filters, 3, f"{name}_conv2", strides[1])
    return keras.layers.Add(name=output or f"{name}_add")([y, shortcut])


def _basic(net, x, filters, name, stride, output):
    y = net.conv(x, filters, 3, f"{name}_conv1", stride)
    y = net.norm_relu(y, f"{name}_bn1")
    y = net.dropout(y, f"{name}_dropout")
    y = net.norm(net.conv(y, filters, 3, f"{name}_conv2"), f"{name}_bn2")
    new = filters - x.shape[-1]
    if stride != 1:
        x = net.subsample(x, stride, f"{name}_shortcut_stride")
    if new:
        # Read as channels first, the last axis is the width of an image: the
        # one layer of Keras that pads channels.
        x = keras.layers.ZeroPadding2D(
            ((0, 0), (new // 2, new - new // 2)),
            data_format="channels_first",
            name=f"{name}_shortcut_pad",
        )(x)
    return _rectified_sum(y, x, name, output)


def _bottleneck(net, x, filters, name, stride, output):
    shortcut, end = x, 4 * filters
    if stride != 1 or x.shape[-1] != end:
        shortcut = net.conv(x, end, 1, f"{name}_shortcut", stride)
        shortcut = net.norm(shortcut, f"{name}_shortcut_bn")
    y = net.norm_relu(net.conv(x, filters, 1, f"{name}_conv1"), f"{name}_bn1")
    y = net.conv(y, filters, 3, f"{name}_conv2", stride)
    y = net.dropout(net.norm_relu(y, f"{name}_bn2"), f"{name}_dropout")
    y = net.norm(net.conv(y, end, 1, f"{name}_conv3"), f"{name}_bn3")
    return _rectified_sum(y, shortcut, name, output)


def _rectified_sum(y, shortcut, name, output):
    x = keras.layers.Add(name=f"{name}_add")([y, shortcut])
    return keras.layers.ReLU(name=output or f"{name}_relu")(x)


_OURS = TorchNames(
    {"stem": "conv1", "final_bn": "bn1", "logits": "linear"},
    inside={"shortcut": "shortcut.0"},
)
# AugMix and its descendants spell a shortcut one way, RobustBench and TRADES
# another.
_AUGMIX = [
    TorchNames(
        {"stem": "conv1", "final_bn": "bn1", "logits": "fc"},
        "block{stage}.layer.{index}",
        {"shortcut": shortcut},
    )
    for shortcut in ("conv_shortcut", "convShortcut")
]
_CIFAR = TorchNames({"stem": "conv1", "stem_bn": "bn1", "logits": "linear"})
_TORCHVISION = TorchNames(
    {"stem": "conv1", "stem_bn": "bn1", "logits": "fc"},
    inside={"shortcut": "downsample.0", "shortcut_bn": "downsample.1"},
)
_twice_as_wide = functools.partial(preact_resnet, base=128)
for _name, _names, _build, *_size in (
    ("preact_resnet18", [_OURS], preact_resnet, "preact_resnet18"),
    ("preact_wide_resnet18", [_OURS], _twice_as_wide, "preact_wide_resnet18"),
    ("wide_resnet28_4", [_OURS], wide_resnet, 28, 4),
    ("wide_resnet40_2", _AUGMIX, augmix_wide_resnet, 40, 2),
    ("resnet20", [_CIFAR], cifar_resnet, 20),
    ("resnet56", [_CIFAR], cifar_resnet, 56),
    ("resnet50", [_TORCHVISION], resnet, 50),
):
    _entry = Architecture(functools.partial(_build, *_size), tuple(_names))
    MODELS.register(_name)(_entry)
