"""AugMix with Pillow: what it draws."""

import functools

import numpy as np
from numpy.testing import assert_array_equal as same

from noisymix_tf.benchmarks import pillow_augmix as pillow
from support import augmentation as laws


def test_the_pillow_version_draws_all_operations_and_depths():
    generator = np.random.default_rng(0)
    draw = functools.partial(pillow.draw_chain, generator, (32, 32))
    depths = np.array([len(draw()) for _ in range(3000)])
    laws.assert_law(depths, dict.fromkeys((1, 2, 3), 1 / 3))
    assert len({step[0] for step in draw(depth=400, all_ops=True)}) == 13
    image = laws.sample_images(2, (12, 10, 1), seed=6)[1]
    views = pillow.augmix_views(image, generator, width=1)
    same(views[0], image)
    assert views.shape == (3, 12, 10, 1) and not np.allclose(*views[1:])
