"""Fractals: pure functions of seed and number, in a folder that goes on."""

import itertools

import numpy as np

from noisymix_tf import pictures
from noisymix_tf.commands import COMMANDS
from noisymix_tf.sets import fractals
from support.released_sets import contents
from support.usage import assert_usage_error


def test_pictures_are_functions_of_seed_and_number_and_differ():
    made = [fractals.fractal(0, number, 48) for number in range(12)]
    assert all(p.shape == (48, 48, 3) and p.dtype == np.uint8 for p in made)
    np.testing.assert_array_equal(fractals.fractal(0, 7, 48), made[7])
    assert (fractals.fractal(1, 7, 48) != made[7]).mean() > 0.5
    for one, other in itertools.pairwise(made):
        assert (one != other).mean() > 0.5
    # Rich in structure: many colours, and edges that a gradient has not.
    for picture in made:
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
        steps = abs(np.diff(picture.astype(int), axis=0))
        assert (steps > 40).mean() > 0.01


def test_maps_contract_as_much_as_published():
    generator, numbers = np.random.default_rng(0), set()
    for _ in range(200):
        maps, shifts = fractals.system(generator)
        numbers.add(len(maps))
        large, small = np.linalg.svd(maps, compute_uv=False).T
        assert large.max() < 1 and abs(shifts).max() <= 1
        total = 2 * (large + 2 * small).sum() - len(maps)
        assert 5 <= total + 1e-9 and total <= 6 + 1e-9
    assert numbers == set(range(2, 9))


def test_a_folder_is_gone_on_with_and_other_settings_are_refused(tmp_path):
    def run(number, size=32):
        own = f"--output_dir={tmp_path}/a", f"--size={size}"
        own += f"--number={number}", "--num_workers=0"
        COMMANDS.get("fractals")(["fractals", *own])

    run(5)
    first = contents(tmp_path / "a")
    assert len(pictures.paths_in(tmp_path / "a/pictures", "x")) == 5
    (tmp_path / "a/pictures/fractal_00003.png").unlink()
    run(5)
    assert contents(tmp_path / "a") == first
    run(9)
    more, sheet = contents(tmp_path / "a"), first.pop("sheet.png")
    assert first.items() <= more.items() and len(more) == len(first) + 5
    assert more["sheet.png"] != sheet  # It stayed that of five.
    words = "pictures of fractals of other settings: size 40 (was 32)"
    assert_usage_error(lambda: run(9, size=40), words)
