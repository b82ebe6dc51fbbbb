"""Published accuracies under corruptions, from RobustBench's tables."""

from noisymix_tf import corruptions

COMMON = corruptions.names("common")

# NoisyMix (WideResNet-28-4) on CIFAR-10-C, per cent at severities 1 to 5.
CIFAR10 = {
    "gaussian_noise": (95.48, 93.95, 91.20, 90.03, 88.18),
    "shot_noise": (96.11, 95.29, 93.39, 91.98, 89.91),
    "impulse_noise": (96.62, 96.58, 96.47, 96.14, 96.18),
    "defocus_blur": (96.68, 96.37, 95.90, 95.13, 92.69),
    "glass_blur": (89.73, 89.64, 90.38, 83.05, 84.12),
    "motion_blur": (95.88, 94.63, 93.18, 93.27, 91.18),
    "zoom_blur": (95.45, 95.36, 94.69, 94.17, 92.76),
    "snow": (95.81, 93.96, 93.50, 91.66, 90.65),
    "frost": (96.21, 94.97, 93.29, 92.92, 90.76),
    "fog": (96.66, 96.10, 95.09, 93.38, 85.63),
    "brightness": (96.82, 96.59, 96.36, 96.01, 94.93),
    "contrast": (96.66, 95.70, 94.60, 91.36, 64.25),
    "elastic_transform": (95.12, 95.06, 94.50, 91.75, 88.05),
    "pixelate": (95.94, 95.00, 94.27, 88.62, 75.33),
    "jpeg_compression": (94.29, 92.72, 92.01, 90.98, 89.09),
}

# Their means over severities, by the same table.
CIFAR10_MEANS = (
    *(91.77, 93.34, 96.40, 95.35, 87.38, 93.63, 94.49, 93.12),
    *(93.63, 93.37, 96.14, 88.51, 92.90, 89.83, 91.82),
)

# ResNet-50 (NoisyMix) on 5,000 images of ImageNet-C: means over severities,
# then the mean of all, that without noise, and mCE by AlexNet's constants.
IMAGENET_MEANS = (
    *(53.92, 53.33, 52.92, 46.81, 37.50, 52.40, 47.63, 44.68),
    *(52.28, 52.83, 70.74, 52.46, 52.68, 53.41, 63.46),
)
IMAGENET_FIGURES = (52.47, 52.24, 60.46)


def shares(rows=CIFAR10):
    """Accuracies in [0, 1] of accuracies in per cent."""
    return {c: tuple(value / 100 for value in row) for c, row in rows.items()}


def imagenet():
    """`{corruption: five equal accuracies}`: CE takes their sum alone."""
    return shares({c: (m,) * 5 for c, m in zip(COMMON, IMAGENET_MEANS)})
