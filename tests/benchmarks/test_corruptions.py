"""The benchmark of the corruptions, and the memory that they take."""

import tracemalloc

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.benchmarks import corruptions as benchmark


def test_figures_are_per_result_of_every_name(monkeypatch, capsys):
    """Of two images at five severities there are ten, of films two."""
    seen = []
    record = lambda images, *more: seen.append(more) or images  # noqa: E731

    def interleaved(calls, rounds, warmup):
        for call in calls.values():
            call()
        return dict.fromkeys(calls, benchmark.timing.Timing(30.0, 10.0))

    monkeypatch.setattr(benchmark.timing, "interleaved", interleaved)
    monkeypatch.setattr(corruptions, "corrupt", record)
    monkeypatch.setattr(corruptions, "perturb", record)
    # Their large images are not what is looked at here.
    for counts in ("_IMAGES", "_SEQUENCES"):
        monkeypatch.setattr(benchmark, counts, {32: 2, 224: 1})
    figures = benchmark.run(rounds=1, seed=3)
    images, films = figures["corruptions"], figures["perturbations"]
    assert tuple(images) == corruptions.names()
    assert tuple(films) == corruptions.perturbation_names()
    cells = {(n, s, 3) for n in images for s in corruptions.SEVERITIES}
    assert set(seen) == cells | {(name, 3) for name in films}
    for each, results in ((images["fog"], 10), (films["tilt"], 2)):
        assert (each[32].wall, each[32].cpu) == (30 / results, 10 / results)
    # The common fifteen at five severities, the ten films of CIFAR.
    assert figures["c_cpu_minutes"] == pytest.approx(5 * 15 * 10_000 / 60)
    assert figures["p_cpu_minutes"] == pytest.approx(5 * 10 * 10_000 / 60)
    text = capsys.readouterr().out
    assert "12500.0 CPU-minutes" in text and "8333.3 CPU-minutes" in text
    assert all(f"\n{name} " in text for name in (*images, *films))


@pytest.mark.parametrize("name", corruptions.names())
def test_memory_does_not_grow_with_the_number_of_images(name):
    images = np.random.default_rng(0).integers(0, 256, [400, 32, 32, 3], "u1")
    corruptions.corrupt(images[:100], name, 5)
    peaks = []
    for count in (100, 400):
        tracemalloc.start()
        corruptions.corrupt(images[:count], name, 5)
        # Beyond what is returned.
        peaks.append(tracemalloc.get_traced_memory()[1] - images[:count].nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 100_000
