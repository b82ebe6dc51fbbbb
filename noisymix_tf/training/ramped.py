"""Levels of mixing, noise and stability that a run's flags ramp."""

from noisymix_tf.callbacks import NoisyMixSchedule, ramp
from noisymix_tf.config import ramps


def schedule(method, steps):
    """The callback that moves a method's levels.

    Args:
        method: `MethodConfig`.
        steps: Steps of the whole training.

    Returns:
        `NoisyMixSchedule` by steps, or None where nothing moves.
    """
    pieces = {}
    for item in ramps.parse(method.ramps):
        of_level = pieces.setdefault(item.name, [])
        start = of_level[-1].end if of_level else getattr(method, item.name)
        of_level.append(
            ramp(
                start,
                item.end,
                length=(item.last - item.first) * steps,
                begin=item.first * steps,
            )
        )
    if not pieces:
        return None
    levels = {name: _Chain(of_level) for name, of_level in pieces.items()}
    return NoisyMixSchedule(**levels, by="step")


class _Chain:
    """Ramps one behind the other as one function of the step."""

    def __init__(self, pieces):
        self._pieces = pieces

    def __call__(self, step):
        current = self._pieces[0]
        for piece in self._pieces:
            if piece.begin <= step:
                current = piece
        return current(step)
