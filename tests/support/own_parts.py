"""One part of each kind, as a user's own file registers them: `--plugins`."""

import dataclasses

import keras
import tensorflow as tf

from noisymix_tf.attacks import ADVERSARIES, Adversary
from noisymix_tf.augment import VIEWS
from noisymix_tf.benchmarks import BENCHMARKS
from noisymix_tf.commands import COMMANDS
from noisymix_tf.corruptions import CORRUPTIONS
from noisymix_tf.evaluation import SUITES, Column, Suite, Task
from noisymix_tf.evaluation.sections import Figure, Section
from noisymix_tf.mixing import MIXINGS, Mixing
from noisymix_tf.models.zoo import MODELS, Architecture
from noisymix_tf.options import AT_LEAST_0, SHARE, Options, option


@MIXINGS.register("halves")
@keras.saving.register_keras_serializable("own_parts")
@dataclasses.dataclass(eq=False)
class Halves(Mixing):
    """The left of an image beside the right of its partner."""

    PREFIX = "halves_"

    place: float = option(0.5, "Share of the width that is the left.", SHARE)

    def settle(self, plan, clean):
        return plan._replace(lam=tf.constant(self.place))

    def mix(self, x, plan):
        cut = int(self.place * x.shape[3])
        partner = tf.gather(x, plan.permutation, axis=1)
        return tf.concat([x[..., :cut, :], partner[..., cut:, :]], axis=3)


@dataclasses.dataclass(frozen=True)
class Dim(Options):
    """Dim views."""

    PREFIX = "dim_"

    by: int = option(2, "What pixels are divided by.", AT_LEAST_0)


@VIEWS.register("dim", options=Dim)
def dim_views(images, seed, *, by, num_views=2, clean=True):
    views = [images] * clean + [images // by] * (num_views - clean)
    return tf.stack(views, axis=1)


@ADVERSARIES.register("grey")
@keras.saving.register_keras_serializable("own_parts")
@dataclasses.dataclass(eq=False)
class Grey(Adversary):
    """Moves each pixel towards grey."""

    PREFIX = "grey_"

    levels: float = option(4.0, "By so many levels.", AT_LEAST_0)

    def attack(self, score, images, labels, seed):
        return images + self.levels * tf.sign(127.5 - images)


@CORRUPTIONS.register(
    "darker",
    family="digital",
    extra=True,
    cifar=(0.9, 0.8, 0.7, 0.6, 0.5),
    imagenet=(0.9, 0.8, 0.7, 0.6, 0.5),
)
def darker(images, share, streams):
    return images / 255 * share


def negative(images, indices):
    return 255 - images


@SUITES.register("negative")
class Negative(Suite):
    """The test images as negatives."""

    columns = (Column("accuracy", "Negatives"),)

    def tasks(self, job):
        cell = job.cell("negative", generator="negative-1")
        return [Task(cell, job.images, make=negative)]

    def sections(self, scores, context):
        ((cell, own),) = scores.items()
        about = {"suite": cell.suite, "source": cell.source, "n": cell.n}
        figure = Figure("accuracy", "accuracy", own.accuracy)
        about |= {"origin": "negatives", "figures": (figure,)}
        about |= {"headlines": {"Accuracy on negatives": "accuracy"}}
        return [Section("negative", "Negatives", "Negatives", **about)]


def linear(input_shape, num_classes, mean, std, width, seed):
    layers = [keras.Input(input_shape), keras.layers.Rescaling(1 / 255)]
    layers += [keras.layers.Conv2D(2, 3, 4, name="stage1")]
    layers += [keras.layers.Flatten(), keras.layers.Dense(num_classes)]
    return keras.Sequential(layers)


MODELS.register("linear")(Architecture(linear))


@BENCHMARKS.register("nothing", title="nothing at all", rounds=3, unit="times")
def measure(config, rounds):
    print(f"{rounds} times nothing, {config.model}")


@COMMANDS.register("hello")
def hello(argv):
    print("hello", *argv[1:])
