"""The benchmark of the corruptions, and the memory that they take."""

import tracemalloc

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.benchmarks import corruptions as benchmark


@pytest.fixture
def little_work(monkeypatch):
    """Sides of 16 and 24 pixels, one image or two of each."""
    monkeypatch.setattr(benchmark, "_SMALL", 16)
    monkeypatch.setattr(benchmark, "_LARGE", 24)
    monkeypatch.setattr(benchmark, "_IMAGES", {16: 2, 24: 1})
    monkeypatch.setattr(benchmark, "_SEQUENCES", {16: 2, 24: 1})


@pytest.mark.usefixtures("little_work")
def test_figures_and_tables_of_the_benchmark(capsys):
    figures = benchmark.run(rounds=1)
    images, films = figures["corruptions"], figures["perturbations"]
    assert tuple(images) == corruptions.names()
    assert tuple(films) == corruptions.perturbation_names()
    for sizes in (*images.values(), *films.values()):
        assert sizes[16].wall > 0
        assert sizes[24].cpu > 0
    seconds = sum(images[n][16].cpu for n in corruptions.names("common"))
    minutes = figures["c_cpu_minutes"]
    assert minutes == pytest.approx(seconds * 50_000 / 60)
    text = capsys.readouterr().out
    assert "24 px: images/s" in text
    assert f"{minutes:.1f} CPU-minutes" in text
    names = corruptions.perturbation_names("cifar")
    seconds = sum(films[name][16].cpu for name in names)
    minutes = figures["p_cpu_minutes"]
    assert minutes == pytest.approx(seconds * 10_000 / 60)
    assert "16 px: CPU-s/1,000  24 px: CPU-ms/sequence" in text
    assert f"{minutes:.1f} CPU-minutes" in text
    for part in (images, films):
        for name in part:
            assert f"\n{name} " in text


def test_figures_are_per_result(monkeypatch):
    """Two images at five severities are ten, two films are two."""
    monkeypatch.setattr(
        benchmark.timing,
        "interleaved",
        lambda calls, rounds, warmup: {
            name: benchmark.timing.Timing(rounds * 30.0, rounds * 10.0)
            for name in calls
        },
    )
    for function, results in (
        (benchmark._all_severities, 10),
        (benchmark._films, 2),
    ):
        timings = benchmark._timings(["brightness"], function, {16: 2}, 2, 0)
        each = timings["brightness"][16]
        assert (each.wall, each.cpu) == (60 / results, 20 / results)


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
