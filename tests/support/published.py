"""Published accuracies under corruptions, from RobustBench's tables."""

from noisymix_tf import corruptions

COMMON = corruptions.names("common")

# NoisyMix (WideResNet-28-4) on CIFAR-10-C, per cent: means over severities.
CIFAR10_MEANS = (
    *(91.77, 93.34, 96.40, 95.35, 87.38, 93.63, 94.49, 93.12),
    *(93.63, 93.37, 96.14, 88.51, 92.90, 89.83, 91.82),
)

# ResNet-50 (NoisyMix) on 5,000 images of ImageNet-C: the same, then the mean
# of all, that without noise, and mCE by AlexNet's constants.
IMAGENET_MEANS = (
    *(53.92, 53.33, 52.92, 46.81, 37.50, 52.40, 47.63, 44.68),
    *(52.28, 52.83, 70.74, 52.46, 52.68, 53.41, 63.46),
)
IMAGENET_FIGURES = (52.47, 52.24, 60.46)


def shares(means):
    """`{corruption: five accuracies}` of these means, which are all we need."""
    return {
        name: tuple(mean / 100 + 0.01 * step for step in (2, 1, 0, -1, -2))
        for name, mean in zip(COMMON, means)
    }
