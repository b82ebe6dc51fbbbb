"""Wall and CPU time of functions that take turns, and figures made of them."""

import dataclasses
import os
import pathlib
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from noisymix_tf.evaluation import resampling


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of timed calls, or of what a call makes, float64 `[rounds]`.

    Figures are means, not medians, because calls may differ in what they do: a
    step of NoisyMix costs more where it mixes large features.
    """

    walls: np.ndarray
    cpus: np.ndarray  # CPU-seconds, summed over the threads of the process.

    @property
    def wall(self):
        return float(np.mean(self.walls))

    @property
    def cpu(self):
        return float(np.mean(self.cpus))

    def each(self, number):
        """The same of each of a number of things that a call makes."""
        return Timing(self.walls / number, self.cpus / number)


class Ratio(NamedTuple):
    """A quotient of means and its 95 % interval by resampling of rounds."""

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(ours, theirs):
    """`Ratio` of what was timed in the same rounds, `[rounds]` each."""
    # Of one round, which tells no error, there are no replicates.
    means = np.atleast_2d(resampling.means(np.stack([ours, theirs], 1)))
    quotients = means[:, 0] / means[:, 1]
    return Ratio(quotients[0], *np.quantile(quotients, [0.025, 0.975]))


def interleaved(functions, rounds, warmup=2):
    """Times functions in turn, so that a drift of the machine hits all alike.

    Of a dict from name to function without arguments it makes one from name to
    `Timing`. Calls to warm up do not count.
    """
    for function in functions.values():
        for _ in range(warmup):
            function()
    found = np.array(
        [[seconds(f) for f in functions.values()] for _ in range(rounds)]
    )
    return {
        name: Timing(*found[:, place].T) for place, name in enumerate(functions)
    }


def seconds(function):
    """Seconds and CPU-seconds of one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def beside(timings, reference):
    """A table of timings, each also relative to the one of a name."""
    of = timings[reference]
    rows = [
        [
            name,
            f"{1000 * each.wall:.3g}",
            f"{1000 * each.cpu:.3g}",
            str(ratio(each.walls, of.walls)),
            str(ratio(each.cpus, of.cpus)),
        ]
        for name, each in timings.items()
    ]
    header = ["95 % by resampling", "wall ms", "CPU ms", "x wall", "x CPU"]
    return table(header, rows)


def table(header, rows):
    """Renders rows of strings as aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        )
        for row in [header, *rows]
    )


def hardware():
    """What is measured on, in words."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(": ")[-1] for line in lines if "model name" in line]
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return (
        f"{os.cpu_count()} cores ({names[0] if names else 'unknown'}), "
        f"{', '.join(gpus) or 'no GPU'}, load {os.getloadavg()[0]:.1f}"
    )
