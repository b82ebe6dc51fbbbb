"""Whether a long run keeps its memory and is never traced anew."""

import os
import pathlib

import keras
import numpy as np

from noisymix_tf import data
from noisymix_tf.errors import UsageError
from noisymix_tf.files import write_atomically
from noisymix_tf.training import setup

_POINTS = 200


def run(config, rounds=2000):
    """Trains for many steps, watching memory, and draws it.

    Writes `memory.png` into `--output_dir`.

    Args:
        config: `Config` of the run.
        rounds: Steps.

    Returns:
        Dict with `steps` and `megabytes` (NumPy arrays), `first_traces` and
        `later_traces` (how often the train step was traced in its first call,
        where it makes the variables of metrics, and in all others), and
        `growth`: megabytes per 1,000 steps, the slope over the second half of
        the steps.

    Raises:
        UsageError: No `--output_dir` is given, or it has such a file already.
    """
    path = _checked_path(config.run.output_dir)
    dataset = setup.dataset(config.data)
    steps_per_epoch = data.steps_per_epoch(
        dataset.train, config.optimizer.batch_size
    )
    trainer = setup.trainer(
        config, setup.classifier(config, dataset), steps_per_epoch, dataset
    )
    watch = _Watch(trainer, max(1, rounds // _POINTS))
    trainer.fit(
        setup.views(config, dataset),
        steps_per_epoch=rounds,
        callbacks=[watch],
        shuffle=False,
        verbose=0,
    )
    steps, megabytes = np.array(watch.points).T
    half = len(steps) // 2
    figures = {
        "steps": steps,
        "megabytes": megabytes,
        "first_traces": watch.first_traces,
        "later_traces": watch.traces - watch.first_traces,
        "growth": 1000 * _slope(steps[half:], megabytes[half:]),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _plot(figures, _title(config, dataset)))
    print(
        f"{_title(config, dataset)}: {rounds:,} steps, traced "
        f"{figures['first_traces']} times in the first and "
        f"{figures['later_traces']} times later; {megabytes[half]:.0f} MB "
        f"after {steps[half]:,.0f} steps, {megabytes[-1]:.0f} MB at the end, "
        f"{figures['growth']:+.1f} MB per 1,000 steps over the second half; "
        f"see {path}"
    )
    return figures


class _Watch(keras.callbacks.Callback):
    """Notes the memory of the process every few steps, and counts traces."""

    def __init__(self, trainer, every):
        super().__init__()
        import psutil

        self.points = []
        self.traces, self.first_traces = 0, 0
        self._every = every
        self._process = psutil.Process()
        self._step = trainer.train_step
        # The step is Python only while it is traced.
        trainer.train_step = self._traced

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0:
            self.first_traces = self.traces
        if batch % self._every == 0:
            used = self._process.memory_info().rss
            self.points.append((batch + 1, used / 2**20))

    def _traced(self, data):
        self.traces += 1
        return self._step(data)


def _checked_path(output_dir):
    if not output_dir:
        raise UsageError(
            "--output_dir is missing: name a directory for memory.png."
        )
    path = pathlib.Path(output_dir, "memory.png")
    if os.path.lexists(path):
        raise UsageError(
            f"{path} is there already: name another --output_dir, or remove it."
        )
    return path


def _slope(steps, megabytes):
    return np.polyfit(steps, megabytes, 1)[0] if len(steps) > 1 else 0.0


def _title(config, dataset):
    return (
        f"{config.method.method}, {config.model.model} width "
        f"{config.model.width}, batch {config.optimizer.batch_size}, "
        f"{dataset.name}"
    )


def _plot(figures, title):
    """PNG of memory against steps."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    ax.plot(figures["steps"], figures["megabytes"], linewidth=1.5)
    ax.set_ylim(0, 1.15 * figures["megabytes"].max())
    ax.set_xlim(0, figures["steps"][-1])
    ax.set_xlabel("step")
    ax.set_ylabel("resident memory in MB")
    ax.set_title(title, fontsize=10, loc="left", parse_math=False)
    ax.grid(alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=150)
    return png.getvalue()
