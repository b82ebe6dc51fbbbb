"""Wall and CPU time of a function, and figures made of them."""

import dataclasses
import statistics
import time


@dataclasses.dataclass(frozen=True)
class Timing:
    """Means over the timed calls.

    Means, not medians, because calls may differ in what they do: a step of
    NoisyMix costs more where it mixes large features.

    Attributes:
        wall: Seconds of a call.
        cpu: CPU-seconds of a call, summed over the threads of the process.
    """

    wall: float
    cpu: float


def interleaved(functions, rounds, warmup=2):
    """Times functions in turn, so that a drift of the machine hits all alike.

    Args:
        functions: Dict from name to function without arguments.
        rounds: How often each is timed.
        warmup: Calls before the first one that counts.

    Returns:
        Dict from name to `Timing`.
    """
    for function in functions.values():
        for _ in range(warmup):
            function()
    walls = {name: [] for name in functions}
    cpus = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            function()
            walls[name].append(time.perf_counter() - wall)
            cpus[name].append(time.process_time() - cpu)
    return {
        name: Timing(
            statistics.fmean(walls[name]), statistics.fmean(cpus[name])
        )
        for name in functions
    }


def table(header, rows):
    """Renders rows of strings as aligned columns."""
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        )
        for row in [header, *rows]
    )
