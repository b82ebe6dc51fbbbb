"""Colours of heat maps."""

import functools

# The map from dark blue to yellow reads the same with any colour vision
# (Nuñez, Anderton and Renslow, 2018, "Optimizing colormaps with consideration
# for color vision deficiency").
COLOURS = "cividis"

# Above this share a field is so light that black on it is easier to read.
LIGHT = 0.48


@functools.cache
def _colour_map():
    from matplotlib import colormaps

    return colormaps[COLOURS]


def colour(share):
    """The colour of a share in [0, 1]: `"#1f2d4a"`."""
    from matplotlib.colors import to_hex

    return to_hex(_colour_map()(float(share)))


def ink(share):
    """The colour of text on it: `"black"` or `"white"`."""
    return "black" if share > LIGHT else "white"


def style(share):
    """CSS of a field that shows a share in [0, 1]."""
    return f"background:{colour(share)};color:{ink(share)}"


def gradient(steps=10):
    """CSS of the bar that explains the colours, from 0 to 1."""
    stops = ",".join(colour(step / steps) for step in range(steps + 1))
    return f"background:linear-gradient(90deg,{stops})"
