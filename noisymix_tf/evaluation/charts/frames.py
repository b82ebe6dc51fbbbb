"""What a model sees along the frames of a sequence, as a row of marks."""

import itertools

from noisymix_tf.evaluation.markup import element


def draw(predicted):
    """Draws a mark per frame: low while the class is that of the first frame.

    Args:
        predicted: Names of the predicted classes, frame by frame.

    Returns:
        `Markup`, one SVG as wide as its place.
    """
    width = 100.0 / len(predicted)
    return element(
        "svg",
        [
            element(
                "rect",
                element("title", f"frame {k + 1}: {name}"),
                x=f"{k * width + 0.1 * width:.3f}%",
                y=6 if name == predicted[0] else 0,
                width=f"{0.8 * width:.3f}%",
                height=4 if name == predicted[0] else 10,
                class_="same" if name == predicted[0] else "other",
            )
            for k, name in enumerate(predicted)
        ],
        width="100%",
        height=10,
        role="img",
        aria_label=in_words(predicted),
        class_="frames",
    )


def in_words(predicted):
    """How often the prediction changes: `"3 changes in 31 frames"`."""
    changes = sum(a != b for a, b in itertools.pairwise(predicted))
    noun = "change" if changes == 1 else "changes"
    return f"{changes or 'no'} {noun} in {len(predicted)} frames"
