"""The augmentation that a training method names."""

import functools

from noisymix_tf.augment import VIEWS
from noisymix_tf.options import options_of


def augmentation(config):
    """The function from images and a seed to views, or `None` for none.

    Args:
        config: The options of a run, with those of all `VIEWS`.
    """
    function = VIEWS.get(config.views)
    if function is None:
        return None
    number = {"num_views": config.num_views - 1}
    if config.stability == "none":
        number = {"num_views": 1, "clean": False}
    own = config.arguments(options_of(VIEWS, config.views))
    return functools.partial(function, **own, **number)
