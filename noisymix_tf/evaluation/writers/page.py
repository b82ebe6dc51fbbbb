"""A whole page that needs no other file, no network and no script."""

from noisymix_tf.evaluation.markup import Markup, element
from noisymix_tf.evaluation.writers.style import STYLE


def page(title, *parts, style=""):
    """A page of HTML.

    Args:
        title: Of the window.
        *parts: What is on it, as `markup.element` takes children.
        style: More CSS, behind the style of all pages.

    Returns:
        The page, a str.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element(
            "meta",
            name="viewport",
            content="width=device-width, initial-scale=1",
        ),
        element("title", title),
        element("style", Markup(STYLE + style)),
    )
    body = element("body", element("main", *parts))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
