"""PyTorch's residual networks restated in NumPy, in evaluation mode.

A network draws its parameters when they are first asked for, under the names
and in the layouts of the published code; `state` then holds its state dict.
Images and features are `[N, C, H, W]`.
"""

import numpy as np


class Network:
    """The modules of a network, with random parameters."""

    def __init__(self, seed=0):
        self.state = {}
        self._rng = np.random.default_rng(seed)

    def conv(self, x, name, filters, size, stride=1):
        channels = x.shape[1]
        spread = (channels * size**2) ** -0.5
        weight = self._rng.normal(0, spread, [filters, channels, size, size])
        self.state[f"{name}.weight"] = weight
        pad = size // 2
        x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        windows = np.lib.stride_tricks.sliding_window_view(
            x, (size, size), axis=(2, 3)
        )[:, :, ::stride, ::stride]
        y = np.tensordot(windows, weight, [(1, 4, 5), (1, 2, 3)])
        return y.transpose(0, 3, 1, 2)

    def bn(self, x, name):
        values = {
            "weight": self._rng.uniform(0.5, 1.5, x.shape[1]),
            "bias": self._rng.normal(0, 0.3, x.shape[1]),
            "running_mean": self._rng.normal(0, 0.3, x.shape[1]),
            "running_var": self._rng.uniform(0.5, 1.5, x.shape[1]),
        }
        for suffix, value in values.items():
            self.state[f"{name}.{suffix}"] = value
        self.state[f"{name}.num_batches_tracked"] = np.array(7)
        scale, offset, mean, var = (v[:, None, None] for v in values.values())
        return (x - mean) / np.sqrt(var + 1e-5) * scale + offset

    def linear(self, x, name, units):
        weight = self._rng.normal(0, 1, [units, x.shape[1]])
        bias = self._rng.normal(0, 1, units)
        self.state |= {f"{name}.weight": weight, f"{name}.bias": bias}
        return x @ weight.T + bias


def relu(x):
    return np.maximum(x, 0)


def max_pool(x):
    """Of 3 x 3 pixels, every other one, with -inf around the image."""
    x = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    return windows[:, :, ::2, ::2].max((4, 5))


def bottleneck_resnet(net, x, blocks, base, classes):
    """torchvision's ResNet of bottleneck blocks (version 1.5)."""
    x = relu(net.bn(net.conv(x, "conv1", base, 7, 2), "bn1"))
    x = max_pool(x)
    for stage, num_blocks in enumerate(blocks, start=1):
        width = base * 2 ** (stage - 1)
        for index in range(num_blocks):
            name = f"layer{stage}.{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            y = net.conv(x, f"{name}.conv1", width, 1)
            y = relu(net.bn(y, f"{name}.bn1"))
            y = net.conv(y, f"{name}.conv2", width, 3, stride)
            y = relu(net.bn(y, f"{name}.bn2"))
            y = net.conv(y, f"{name}.conv3", 4 * width, 1)
            y = net.bn(y, f"{name}.bn3")
            if index == 0:
                x = net.conv(x, f"{name}.downsample.0", 4 * width, 1, stride)
                x = net.bn(x, f"{name}.downsample.1")
            x = relu(x + y)
    return net.linear(x.mean((2, 3)), "fc", classes)


def option_a_resnet(net, x, num_blocks, base, classes):
    """The CIFAR ResNet with shortcuts that have no parameters."""
    x = relu(net.bn(net.conv(x, "conv1", base, 3), "bn1"))
    for stage in (1, 2, 3):
        width = base * 2 ** (stage - 1)
        for index in range(num_blocks):
            name = f"layer{stage}.{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            y = net.conv(x, f"{name}.conv1", width, 3, stride)
            y = relu(net.bn(y, f"{name}.bn1"))
            y = net.bn(net.conv(y, f"{name}.conv2", width, 3), f"{name}.bn2")
            if stride == 2:
                quarter = width // 4
                x = np.pad(
                    x[:, :, ::2, ::2],
                    [(0, 0), (quarter, quarter), (0, 0), (0, 0)],
                )
            x = relu(x + y)
    return net.linear(x.mean((2, 3)), "linear", classes)


def augmix_wide_resnet(net, x, num_blocks, stem, base, classes, shortcut):
    """AugMix's wide ResNet; `shortcut` is its spelling of that module."""
    x = net.conv(x, "conv1", stem, 3)
    for stage in (1, 2, 3):
        width = base * 2 ** (stage - 1)
        for index in range(num_blocks):
            name = f"block{stage}.layer.{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            changes = x.shape[1] != width
            activated = relu(net.bn(x, f"{name}.bn1"))
            if changes:
                x = activated
            y = net.conv(activated, f"{name}.conv1", width, 3, stride)
            y = relu(net.bn(y, f"{name}.bn2"))
            y = net.conv(y, f"{name}.conv2", width, 3)
            if changes:
                x = net.conv(x, f"{name}.{shortcut}", width, 1, stride)
            x = x + y
    x = relu(net.bn(x, "bn1"))
    return net.linear(x.mean((2, 3)), "fc", classes)
