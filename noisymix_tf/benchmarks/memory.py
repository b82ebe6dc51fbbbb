"""Whether a long run keeps its memory and is never traced anew."""

import os
import pathlib

import keras
import numpy as np
import psutil

from noisymix_tf import data
from noisymix_tf.benchmarks import BENCHMARKS, steps
from noisymix_tf.errors import UsageError
from noisymix_tf.training import setup

_POINTS = 200


@BENCHMARKS.register(
    "memory",
    title="memory and traces of a long run",
    rounds=2000,
    unit="steps",
    trains=True,
)
def run(config, rounds):
    """Trains for many steps, and draws memory as `--output_dir`/memory.png.

    Returns:
        Dict with `steps` and `megabytes` (NumPy arrays), `first_traces` of the
        first call, which makes variables, `later_traces` of all others, and
        `growth` in megabytes per 1,000 steps over the second half.

    Raises:
        UsageError: No `--output_dir` is given, or it has such a file already.
    """
    if not config.output_dir:
        raise UsageError(
            "--output_dir is missing: name a directory for memory.png."
        )
    path = pathlib.Path(config.output_dir, "memory.png")
    if os.path.lexists(path):
        raise UsageError(
            f"{path} is there already: name another --output_dir, or remove it."
        )
    dataset = setup.dataset(config)
    size = config.batch_size
    epoch = data.steps_per_epoch(dataset.train, size)
    classifier = setup.classifier(config, dataset)
    trainer = setup.trainer(config, classifier, epoch, dataset)
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
    trainer.fit(
        setup.views(config, dataset),
        steps_per_epoch=rounds,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=note)],
        shuffle=False,
        verbose=0,
    )
    at, megabytes = np.array(points).T
    half = len(at) // 2
    slope = np.polyfit(at[half:], megabytes[half:], 1)[0] if half else 0.0
    figures = {
        "steps": at,
        "megabytes": megabytes,
        "first_traces": traces.count(0),
        "later_traces": len(traces) - traces.count(0),
        "growth": 1000 * slope,
    }
    title = steps.title(config, dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    _draw(path, at, megabytes, title)
    print(
        f"{title}: {rounds:,} steps, traced {figures['first_traces']} times in "
        f"the first and {figures['later_traces']} times later; "
        f"{megabytes[half]:.0f} MB after {at[half]:,.0f} steps, "
        f"{megabytes[-1]:.0f} MB at the end, {figures['growth']:+.1f} MB per "
        f"1,000 steps over the second half; see {path}"
    )
    return figures


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
