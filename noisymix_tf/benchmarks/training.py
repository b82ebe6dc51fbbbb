"""Training end to end, input and step together: its speed, and its memory."""

import os
import pathlib
import time

import keras
import numpy as np
import psutil

from noisymix_tf import data
from noisymix_tf.benchmarks import BENCHMARKS, steps, timing
from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_writable
from noisymix_tf.training import setup

# Of the picture of memory.
_POINTS = 200


@BENCHMARKS.register(
    "training", title="input and step together", rounds=20, trains=True
)
def training(config, rounds) -> dict[str, float]:
    """Times steps fed by the real pipeline, and the wait for it."""
    title, trainer, views = _prepared(config)
    step, batches = steps.of_batches(trainer), iter(views)
    fed(batches, 3, step)
    seconds, cpu, waited = fed(batches, rounds, step)
    samples = rounds * config.batch_size
    figures = {
        "samples_per_second": samples / seconds,
        "steps_per_second": rounds / seconds,
        "wait_share": waited / seconds,
        "cpu_seconds_per_1000_samples": 1000 * cpu / samples,
    }
    of_samples, of_steps, share, cpu = figures.values()
    print(
        f"{title}: {rounds} steps, {of_samples:.0f} samples/s, {of_steps:.2f} "
        f"steps/s, {cpu:.2f} CPU-s per 1,000 samples; the step waits for input "
        f"{share:.1%} of the time"
    )
    return figures


@BENCHMARKS.register(
    "memory", title="memory and traces of a long run", rounds=2000, trains=True
)
def memory(config, rounds) -> dict[str, object]:
    """Trains for many steps, and draws memory as `--output_dir`/memory.png.

    The figures are `growth` in megabytes per 1,000 steps over the second half,
    and how often the first step, which makes variables, and others are traced.
    """
    check_writable(config.output_dir, "picture of memory")
    path = pathlib.Path(config.output_dir, "memory.png")
    if os.path.lexists(path):
        raise UsageError(
            f"{path} is there already: name another --output_dir, or remove it."
        )
    title, trainer, views = _prepared(config)
    points, traces = _watched(trainer, views, rounds)
    at, megabytes = np.array(points).T
    half, first = len(at) // 2, traces.count(0)
    later = len(traces) - first
    slope = np.polyfit(at[half:], megabytes[half:], 1)[0] if half else 0.0
    path.parent.mkdir(parents=True, exist_ok=True)
    _draw(path, at, megabytes, title)
    print(
        f"{title}: {rounds:,} steps, traced {first} times in the first and "
        f"{later} times later; {megabytes[half]:.0f} MB after "
        f"{at[half]:,.0f} steps, {megabytes[-1]:.0f} MB at the end, "
        f"{1000 * slope:+.1f} MB per 1,000 steps over the second half; see "
        f"{path}"
    )
    return {
        "steps": at,
        "megabytes": megabytes,
        "first_traces": first,
        "later_traces": later,
        "growth": 1000 * slope,
    }


def fed(batches, number, work) -> tuple[float, float, float]:
    """Seconds in which work takes batches, those of the CPU, and of waiting.

    Work gets each batch as an iterator of one.
    """
    waited, start = 0.0, timing.clock()
    for _ in range(number):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        work(iter([batch]))
    return *(timing.clock() - start), waited


def _prepared(config):
    """A training's title, trainer and endless batches of views."""
    dataset = setup.dataset(config)
    epoch = data.steps_per_epoch(dataset.train, config.batch_size)
    classifier = setup.classifier(config, dataset)
    trainer = setup.trainer(config, classifier, epoch, dataset)
    views = setup.views(config, dataset)
    return steps.title_of(config, dataset), trainer, views


def _watched(trainer, views, rounds):
    """Trains: `(steps, megabytes)` on its way, and the step of each trace."""
    every, points, traces = max(1, rounds // _POINTS), [], []
    own_step, process = trainer.train_step, psutil.Process()

    def traced(batch):
        # The step is Python only while it is traced.
        traces.append(len(points))
        return own_step(batch)

    def note(batch, logs):
        if batch % every == 0:
            points.append((batch + 1, process.memory_info().rss / 2**20))

    trainer.train_step = traced
    noted = keras.callbacks.LambdaCallback(on_train_batch_end=note)
    options = {"callbacks": [noted], "shuffle": False, "verbose": 0}
    trainer.fit(views, steps_per_epoch=rounds, **options)
    return points, traces


def _draw(path, at, megabytes, title):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    ax = figure.subplots()
    ax.plot(at, megabytes, linewidth=1.5)
    ax.set(xlabel="step", ylabel="resident memory in MB")
    ax.set(ylim=(0, 1.15 * megabytes.max()), xlim=(0, at[-1]))
    ax.set_title(title, fontsize=10, loc="left", parse_math=False)
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
