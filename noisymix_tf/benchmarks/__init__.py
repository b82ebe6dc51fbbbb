"""Measurements of speed, one file for each thing that is measured.

The file of a name has `run(config, rounds)`, or `run(configs, rounds)` where
several methods are compared: it prints its figures and returns them.
"""

from typing import NamedTuple


class Benchmark(NamedTuple):
    """What is known of a benchmark before its file is imported."""

    title: str
    rounds: int  # Where the user does not say.
    unit: str  # What a round is.
    compares: bool = False  # Whether it takes several methods.
    trains: bool = False  # Whether steps are fed as in training.


BENCHMARKS = {
    "augmix": Benchmark("AugMix beside Pillow", 20, "batches"),
    "segments": Benchmark("training in segments beside Keras", 20, "steps"),
    "train_step": Benchmark("a method beside cross-entropy", 20, "steps"),
    "methods": Benchmark("every method beside the baseline", 10, "steps", True),
    "training": Benchmark("input and step together", 20, "steps", trains=True),
    "input": Benchmark("input, deterministic and not", 10, "turns"),
    "memory": Benchmark(
        "memory and traces of a long run", 2000, "steps", trains=True
    ),
    "corruptions": Benchmark("making the corrupted sets", 3, "batches"),
    "evaluation": Benchmark("an evaluation beside its halves", 1, "suites"),
    "serving": Benchmark("an export beside the Keras model", 5, "batches"),
}
