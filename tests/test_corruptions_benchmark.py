"""The benchmark of the corruptions, and the memory that they take."""

import tracemalloc

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.benchmarks import corruptions as benchmark


def test_figures_and_table_of_the_benchmark(capsys, monkeypatch):
    monkeypatch.setattr(benchmark, "_SIZES", ((16, 2), (64, 1)))
    figures = benchmark.run(rounds=1)
    for name in corruptions.names():
        assert figures[name][16].wall > 0
        assert figures[name][64].cpu > 0
    total = sum(figures[n][16].cpu for n in corruptions.names("common"))
    minutes = figures["cpu_minutes"]
    assert minutes == pytest.approx(total * 50_000 / 60)
    text = capsys.readouterr().out
    assert "64 px: images/s" in text
    assert f"{minutes:.1f} CPU-minutes" in text
    for name in corruptions.names():
        assert f"\n{name} " in text


@pytest.mark.parametrize("name", corruptions.names())
def test_memory_does_not_grow_with_the_number_of_images(name):
    images = np.random.default_rng(0).integers(0, 256, [800, 32, 32, 3], "u1")
    corruptions.corrupt(images[:100], name, 5)
    peaks = []
    for count in (100, 800):
        tracemalloc.start()
        corruptions.corrupt(images[:count], name, 5)
        # Beyond what is returned.
        peaks.append(tracemalloc.get_traced_memory()[1] - images[:count].nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 100_000
