"""PyTorch's residual networks restated in NumPy, in evaluation mode.

Parameters are drawn when first asked for, with the names and layouts of the
published code, and kept in `state`. Images and features are `[N, C, H, W]`.
"""

import numpy as np


def normalized(images, mean=0.5, std=0.5):
    x = (images / 255.0 - np.array(mean)) / np.array(std)
    return x.transpose(0, 3, 1, 2)


class Network:
    def __init__(self, seed=0):
        self.state = {}
        self._rng = np.random.default_rng(seed)

    def _drawn(self, name, law, *arguments):
        if name not in self.state:
            self.state[name] = getattr(self._rng, law)(*arguments)
        return self.state[name]

    def conv(self, x, name, filters, size, stride=1):
        shape = filters, x.shape[1], size, size
        spread = (x.shape[1] * size**2) ** -0.5
        weight = self._drawn(f"{name}.weight", "normal", 0, spread, shape)
        windows = _windows(x, size, stride)
        y = np.tensordot(windows, weight, [(1, 4, 5), (1, 2, 3)])
        return y.transpose(0, 3, 1, 2)

    def bn(self, x, name):
        def drawn(suffix, *law):
            return self._drawn(f"{name}.{suffix}", *law, x.shape[1])

        scale = drawn("weight", "uniform", 0.5, 1.5)
        offset = drawn("bias", "normal", 0, 0.3)
        mean = drawn("running_mean", "normal", 0, 0.3)
        var = drawn("running_var", "uniform", 0.5, 1.5)
        self.state[f"{name}.num_batches_tracked"] = np.array(7)
        y = (np.moveaxis(x, 1, -1) - mean) / np.sqrt(var + 1e-5)
        return np.moveaxis(y * scale + offset, -1, 1)

    def bn_relu(self, x, name):
        return np.maximum(self.bn(x, name), 0)

    def linear(self, x, name, units):
        shape = units, x.shape[1]
        weight = self._drawn(f"{name}.weight", "normal", 0, 1, shape)
        bias = self._drawn(f"{name}.bias", "normal", 0, 1, units)
        return x.mean((2, 3)) @ weight.T + bias


def _windows(x, size, stride, around=0.0):
    """`[N, C, H, W, size, size]`, of images padded alike on all sides."""
    pad = [(0, 0)] * 2 + [(size // 2, size // 2)] * 2
    x = np.pad(x, pad, constant_values=around)
    view = np.lib.stride_tricks.sliding_window_view
    return view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]


def _blocks(counts, base):
    for stage, count in enumerate(counts, start=1):
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            yield (stage, index), base * 2 ** (stage - 1), stride


def bottleneck_resnet(net, x, counts, base, classes):
    """torchvision's ResNet of bottleneck blocks (version 1.5)."""
    x = net.bn_relu(net.conv(x, "conv1", base, 7, 2), "bn1")
    x = _windows(x, 3, 2, -np.inf).max((4, 5))
    for place, width, stride in _blocks(counts, base):
        name = "layer{}.{}".format(*place)
        y = net.bn_relu(net.conv(x, f"{name}.conv1", width, 1), f"{name}.bn1")
        y = net.conv(y, f"{name}.conv2", width, 3, stride)
        y = net.bn_relu(y, f"{name}.bn2")
        y = net.conv(y, f"{name}.conv3", 4 * width, 1)
        if place[1] == 0:
            x = net.conv(x, f"{name}.downsample.0", 4 * width, 1, stride)
            x = net.bn(x, f"{name}.downsample.1")
        x = np.maximum(x + net.bn(y, f"{name}.bn3"), 0)
    return net.linear(x, "fc", classes)


def _preact_branch(net, x, name, width, stride):
    y = net.conv(x, f"{name}.conv1", width, 3, stride)
    return net.conv(net.bn_relu(y, f"{name}.bn2"), f"{name}.conv2", width, 3)


def preact_resnet(net, x, counts, base, classes):
    """NoisyMix's network: no shortcut is raw, nothing ends the last stage."""
    x = net.conv(x, "conv1", base, 3)
    for place, width, stride in _blocks(counts, base):
        name = "layer{}.{}".format(*place)
        x = net.bn_relu(x, f"{name}.bn1")
        y = _preact_branch(net, x, name, width, stride)
        if stride == 2:
            x = net.conv(x, f"{name}.shortcut.0", width, 1, stride)
        x = x + y
    return net.linear(x, "linear", classes)


def augmix_wide_resnet(net, x, shortcut, num_blocks, stem, base, classes):
    """AugMix's wide ResNet; `shortcut` is its spelling of that module."""
    x = net.conv(x, "conv1", stem, 3)
    for place, width, stride in _blocks([num_blocks] * 3, base):
        name = "block{}.layer.{}".format(*place)
        activated = net.bn_relu(x, f"{name}.bn1")
        y = _preact_branch(net, activated, name, width, stride)
        if x.shape[1] != width:
            x = net.conv(activated, f"{name}.{shortcut}", width, 1, stride)
        x = x + y
    return net.linear(net.bn_relu(x, "bn1"), "fc", classes)
