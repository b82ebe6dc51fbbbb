"""HTML and SVG out of Python values; text out of data is always escaped."""

import html

_VOID = ("img", "meta")


class Markup(str):
    """A string that is markup already; any other one is text."""

    __slots__ = ()


def element(name, /, *children, **attributes):
    """One element of HTML or SVG.

    Args:
        name: Its tag.
        *children: `Markup` goes in as it is, any other value as escaped text;
            lists and other iterables are laid end to end, None is left out.
        **attributes: `class_` and `aria_label` stand for `class` and
            `aria-label`. None is left out, numbers are shortened.

    Returns:
        `Markup`.

    Example:

    >>> element("p", "1 < 2", class_="note")
    '<p class="note">1 &lt; 2</p>'
    """
    words = [name]
    for key, value in attributes.items():
        if value is not None:
            key = key.rstrip("_").replace("_", "-")
            words.append(f'{key}="{html.escape(_short(value))}"')
    opening = f"<{' '.join(words)}>"
    if name in _VOID:
        return Markup(opening)
    return Markup(f"{opening}{join(children)}</{name}>")


def join(children):
    """Children of an element, end to end, as `Markup`."""
    return Markup("".join(map(_inner, children)))


def _inner(child):
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return html.escape(_short(child))
    return join(child)


def _short(value):
    """Floats to a thousandth: less than that is not seen on a screen."""
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return str(value)
