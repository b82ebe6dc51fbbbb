"""Train steps, compiled as the command runs them, one beside the other.

All of a comparison get the same images, a batch in memory: how long it takes to
make is left out.
"""

import dataclasses
import itertools

import keras
import tensorflow as tf

from noisymix_tf import augment, data
from noisymix_tf.benchmarks import BENCHMARKS, timing
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.training import setup

# Where a step draws a tap or a grid, XLA compiles its part when it is first
# drawn. So many steps leave out one of four once in 2,500 times.
_WARMUP = 32
_BASELINE = "baseline"
# Of `keras.applications`: networks that are not ours, and their images.
_APPLICATIONS, _SIDE = ("MobileNetV3Small", "ResNet50"), 64


@BENCHMARKS.register(
    "train_step", title="a method beside cross-entropy", rounds=20
)
def train_step(config, rounds) -> dict[str, timing.Timing]:
    """What a method costs over plain cross-entropy on the same images.

    The method on B images of V views is compared with cross-entropy on the same
    V B images, each an example of its own, as batch normalisation sees them,
    and on B images, the ordinary step.
    """
    method = config.method
    if config.augment_on == "device":
        raise UsageError(
            "--augment_on=device: the comparison is of steps alone, which get "
            "their views from the host; leave it out."
        )
    if config.stability == "none":
        raise UsageError(
            f"--method={method} has one view of each image; the comparison is "
            f"for methods with several, such as noisymix."
        )
    dataset = setup.dataset(config)
    views, labels = next(iter(setup.views(config, dataset)))
    batch, count = views.shape[:2]
    every = tf.reshape(views, [batch * count, 1, *views.shape[2:]])
    plain = _cross_entropy(config)
    own = f"{method}, {batch} x {count} views"
    same, fewer = (f"cross-entropy, {n} images" for n in (count * batch, batch))
    calls = {
        own: _of_config(config, dataset, views, labels),
        same: _of_config(plain, dataset, every, tf.repeat(labels, count)),
        fewer: _of_config(plain, dataset, views[:, :1], labels),
    }
    title = f"{title_of(config, dataset)}; means of {rounds} steps"
    timings = timing.compared(title, calls, rounds, same)
    print(f"{method}: {batch / timings[own].wall:.0f} samples/s")
    return timings


@BENCHMARKS.register(
    "methods",
    title="every method beside the baseline",
    rounds=10,
    compares=True,
)
def methods(configs, rounds) -> dict[str, tuple]:
    """What the views, cropping and flipping included, and the step cost.

    Figures of a method: number of views, `Timing`s of making them, beside the
    step on the host, and of the step. All have one dataset, network and batch
    size; methods with several views compute on a multiple of it.
    """
    if _BASELINE not in configs:
        raise UsageError(
            f"Costs are relative to {_BASELINE}: give it among the methods."
        )
    config = configs[_BASELINE]
    dataset = setup.dataset(config)
    batches = data.views(dataset.train, batch_size=config.batch_size)
    images, labels = next(iter(batches))
    makers, calls, counts = {}, {}, {}
    for method, own in configs.items():
        makers[method] = _maker(own, dataset, images[:, 0])
        views = makers[method]()
        counts[method] = views.shape[1]
        calls[method] = _of_config(own, dataset, views, labels)
    made = timing.interleaved(makers, rounds)
    title = f"{title_of(config, dataset)}; means of {rounds} steps"
    more = {
        "images": {n: v * config.batch_size for n, v in counts.items()},
        "views, CPU ms": {n: f"{1000 * t.cpu:.0f}" for n, t in made.items()},
    }
    trained = timing.compared(title, calls, rounds, _BASELINE, **more)
    return {name: (counts[name], made[name], trained[name]) for name in counts}


@BENCHMARKS.register(
    "segments", title="training in segments beside Keras", rounds=20
)
def segments(config, rounds) -> dict[str, dict]:
    """What training in segments costs over plain `model.fit`.

    Of the configured network and of applications, without mixing, noise and the
    stability term, so that both steps compute the same.
    """
    config = _cross_entropy(config)
    dataset = setup.dataset(config)
    results = {}
    for name in (config.model, *_APPLICATIONS):
        # Even, for strided 1 x 1 convolutions on a CPU (README, "Limits").
        size = config.batch_size
        size = max(2, size // 8 * 2) if name in _APPLICATIONS else size
        plain, inner = (_network(config, dataset, name) for _ in range(2))
        plain.compile(
            optimizer=setup.optimizer(config, 1000),
            loss=setup.cross_entropy(config.label_smoothing),
            metrics=[keras.metrics.SparseCategoricalAccuracy("accuracy")],
            jit_compile=config.jit_compile == "true",
        )
        shape = [size, *plain.input_shape[1:]]
        images = tf.random.stateless_uniform(shape, [0, 1], 0, 255)
        labels = tf.range(size) % min(10, dataset.num_classes)
        own = setup.trainer(config, inner, 1000)
        key = f"{name}, batch {size}"
        results[key] = timing.compared(
            f"{key}; means of {rounds} steps",
            {
                "plain": of_model(plain, images, labels),
                "segments": of_model(own, images, labels),
            },
            rounds,
            "plain",
        )
    return results


def of_model(model, *batch):
    """A function that runs one train step of a compiled Keras model."""
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    step = of_batches(model)
    return lambda: step(batches)


def of_batches(model):
    """The same of an iterator: a step for each batch of an execution."""
    model.make_train_function()

    def step(batches):
        # An accelerator may still be at work until its figures are read.
        logs = model.train_function(batches)
        keras.tree.map_structure(lambda value: value.numpy(), logs)

    return step


def title_of(config, dataset) -> str:
    """The network and the images of a benchmark, in words."""
    side = "x".join(map(str, dataset.image_shape[:2]))
    return (
        f"{config.method}, {config.model} width {config.width:g}, batch "
        f"{config.batch_size}, {dataset.name} {side}"
    )


def _of_config(config, dataset, *batch):
    """A function that runs a step, compiled, on views `[B, V, ...]`, labels."""
    classifier = setup.classifier(config, dataset)
    step = of_model(setup.trainer(config, classifier, 1000), *batch)
    kind = MIXINGS.get(config.mixing)
    for _ in range(_WARMUP if kind.hidden or kind.per_example else 1):
        step()
    return step


def _cross_entropy(config):
    """The configuration with plain cross-entropy in place of its method."""
    none = dict.fromkeys(("views", "stability", "mixing"), "none")
    noise = dict.fromkeys(("additive_noise", "multiplicative_noise"), 0.0)
    return dataclasses.replace(config, **none, **noise, ramps=())


def _maker(config, dataset, images):
    """A function that makes the views of a batch, `[B, V, H, W, C]`."""
    numbers = itertools.count()
    functions = setup.augmentations(config, dataset)
    return lambda: augment.batch_views(
        images, seed=config.seed, step=next(numbers), **functions
    )


def _network(config, dataset, name):
    if name == config.model:
        return setup.classifier(config, dataset)
    kind = getattr(keras.applications, name)
    options = {"weights": None, "classes": 10, "classifier_activation": None}
    return kind(input_shape=(_SIDE, _SIDE, 3), **options)
