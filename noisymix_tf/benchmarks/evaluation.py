"""What an evaluation costs beyond the slower of generating and predicting."""

import concurrent.futures
import os
import time

from noisymix_tf import corruptions, evaluation
from noisymix_tf.benchmarks import timing
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.training import setup


def run(config, rounds=1):
    """Times suite c on a dataset: its two halves alone, then as it is.

    Both halves use all cores when alone, so that on a machine without an
    accelerator the whole cannot be faster than both added up, scaled by how
    busy each keeps the cores.

    Args:
        config: `Config`; its data, network, width, and what of suite c is
            measured.
        rounds: Repetitions; the fastest of each counts.

    Returns:
        Dict of seconds: `"generation"` (all cells, by all worker threads,
        without the model), `"forward"` (as many images through the model,
        without generation), `"together"` (`evaluate`), and `"overhead"`, what
        together takes beyond the slower half, as a share of that half.

    Example:

    >>> figures = run(config)  # doctest: +SKIP
    """
    settings = config.evaluation
    dataset = setup.dataset(config.data)
    model = setup.classifier(config, dataset)
    images = Images(dataset.test, dataset.name, dataset.num_classes)
    batches = list(images.batches(settings.eval_batch_size))
    predictor = Predictor(
        model, dataset.num_classes, batches[0][0], settings.eval_batch_size
    )
    cells = [
        (name, severity)
        for name in settings.corruptions or corruptions.names("common")
        for severity in settings.severities
    ]
    seconds = {
        "generation": lambda: _generate(batches, cells),
        "forward": lambda: _predict(predictor, batches, len(cells)),
        "together": lambda: _evaluate(model, dataset, settings),
    }
    figures = {
        name: min(_timed(function) for _ in range(rounds))
        for name, function in seconds.items()
    }
    slower = max(figures["generation"], figures["forward"])
    figures["overhead"] = figures["together"] / slower - 1.0
    rows = [[n, f"{figures[n]:.1f}"] for n in seconds]
    print(timing.table(["suite c", "seconds"], rows))
    print(
        f"{len(cells)} cells of {images.n:,} images; beyond the slower half: "
        f"{100 * figures['overhead']:.1f} %"
    )
    return figures


def _generate(batches, cells):
    calls = [(images, *cell) for cell in cells for images, _ in batches]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for _ in pool.map(lambda call: corruptions.corrupt(*call), calls):
            pass


def _predict(predictor, batches, passes):
    for _ in range(passes):
        for images, _ in batches:
            predictor(images)


def _evaluate(model, dataset, settings):
    evaluation.evaluate(
        model,
        dataset,
        suites=("c",),
        corruptions=settings.corruptions or None,
        severities=settings.severities,
        batch_size=settings.eval_batch_size,
        progress=None,
    )


def _timed(function):
    start = time.monotonic()
    function()
    return time.monotonic() - start
