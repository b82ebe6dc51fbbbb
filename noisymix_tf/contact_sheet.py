"""Images side by side as one picture."""

import numpy as np


def contact_sheet(views, gap=2, least_side=96):
    """Arranges `[B, V, H, W, C]` as one uint8 picture, B rows of V images.

    Pixels are 0..255. Those of images whose sides are below `least_side` are
    repeated.
    """
    zoom = max(1, least_side // max(views.shape[2:4]))
    views = np.repeat(np.repeat(views, zoom, axis=2), zoom, axis=3)
    rows, columns, height, width, channels = views.shape
    sheet = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, channels),
        255,
        np.uint8,
    )
    for row in range(rows):
        for column in range(columns):
            top = gap + row * (height + gap)
            left = gap + column * (width + gap)
            sheet[top : top + height, left : left + width] = np.clip(
                np.round(views[row, column]), 0, 255
            )
    return sheet
