"""Wall and CPU time of functions that take turns, and figures made of them."""

import dataclasses
import resource
import time
from typing import NamedTuple

import numpy as np

from noisymix_tf import marked
from noisymix_tf.evaluation import metrics


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of timed calls, or of what a call makes, float64 `[rounds]`.

    Figures are means, not medians, because calls may differ in what they do: a
    step of NoisyMix costs more where it mixes large features. CPU-seconds are
    summed over threads, and over processes that a call has ended.
    """

    walls: np.ndarray
    cpus: np.ndarray

    wall = property(lambda self: float(np.mean(self.walls)))
    cpu = property(lambda self: float(np.mean(self.cpus)))

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


def ratio(ours, theirs) -> Ratio:
    """The quotient of what was timed in the same rounds, `[rounds]` each."""
    # Of one round, which tells no error, there are no replicates.
    means = np.atleast_2d(metrics.means(np.stack([ours, theirs], 1)))
    quotients = means[:, 0] / means[:, 1]
    return Ratio(quotients[0], *np.quantile(quotients, [0.025, 0.975]))


def clock() -> np.ndarray:
    """Seconds and CPU-seconds, to take differences of."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = time.process_time() + ended.ru_utime + ended.ru_stime
    return np.array([time.perf_counter(), cpu])


def interleaved(functions, rounds, warmup=2) -> dict[str, Timing]:
    """Times functions in turn, so that a drift of the machine hits all alike.

    It takes `{name: function without arguments}`; the first calls, which warm
    up, do not count.
    """
    for function in functions.values():
        for _ in range(warmup):
            function()
    found = np.zeros([len(functions), 2, rounds])
    for turn in range(rounds):
        for place, function in enumerate(functions.values()):
            start = clock()
            function()
            found[place, :, turn] = clock() - start
    return {name: Timing(*own) for name, own in zip(functions, found)}


def compared(title, functions, rounds, reference, **more) -> dict[str, Timing]:
    """The same, printed as a table, each also relative to one of a name.

    Further columns are `{name: cell}` each, beside the times.
    """
    timings = interleaved(functions, rounds)
    of, rows = timings[reference], []
    for name, each in timings.items():
        means = [_shown(1000 * mean) for mean in (each.wall, each.cpu)]
        ratios = ratio(each.walls, of.walls), ratio(each.cpus, of.cpus)
        own = (cells[name] for cells in more.values())
        rows.append([name, *means, *ratios, *own])
    header = ["wall ms", "CPU ms", "x wall", "x CPU", *more]
    tell(f"{title}, 95 % by resampling", ["", *header], rows)
    return timings


def _shown(number):
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def tell(title, header, rows) -> None:
    """Prints a title and rows as Markdown, aligned for a terminal, too."""
    print(f"{title}:\n")
    for words in marked.aligned([header, *rows]):
        print(f"| {' | '.join(words)} |")
    print(flush=True)
