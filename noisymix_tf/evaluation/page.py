"""Pages of HTML that need no other file, no network and no script."""

import datetime
import functools
import itertools
import math
import pathlib

import jinja2

from noisymix_tf.evaluation import charts, gallery, resampling, words
from noisymix_tf.evaluation.sections import show

_PACKAGE = pathlib.Path(__file__).parents[1]

# The map from dark blue to yellow reads the same with any colour vision
# (Nuñez, Anderton and Renslow, 2018, "Optimizing colormaps with consideration
# for color vision deficiency").
_COLOURS = "cividis"
# Above this share a field is so light that black on it is easier to read.
_LIGHT = 0.48


def html(report, folder):
    """A `Report` as a page, with the examples of its folder, see `gallery`."""
    return render(
        "evaluation/templates/report.html",
        report=report,
        words=words,
        facts=_facts(report),
        examples={
            section.name: _examples(section, report.scores, folder)
            for section in report.sections
        },
    )


def render(template, **values):
    """A page out of a template, a file of the package by its path.

    `evaluation/templates` has `base.html`, which pages extend (blocks `title`,
    `style`, `head`, `body`), and `charts.html`, whose macros draw. Text is
    escaped.

    >>> page = render("comparison/templates/comparison.html", table=table)
    """
    return _environment().get_template(template).render(values)


@functools.cache
def _environment():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=charts.short,
    )
    environment.globals.update(
        charts=charts, gradient=gradient, heat=heat, show=show
    )
    environment.filters.update(words=charts.words_of)
    return environment


def heat(share):
    """CSS of a field that shows a share in [0, 1]: its colour and its ink."""
    share = resampling.value(share)
    ink = "black" if share > _LIGHT else "white"
    return f"background:{_colour(share)};color:{ink}"


def gradient():
    """CSS of the bar that explains the colours, from 0 to 1."""
    stops = ",".join(_colour(step / 10) for step in range(11))
    return f"background:linear-gradient(90deg,{stops})"


def _colour(share):
    from matplotlib import colormaps, colors

    return colors.to_hex(colormaps[_COLOURS](share))


def _facts(report):
    """Whom and what the report is about."""
    facts = {
        "Dataset": report.dataset,
        **{name.capitalize(): word for name, word in report.about.items()},
        "Model's fingerprint": report.model,
        "Outputs": report.outputs or "not stated",
        "Reference": report.reference.name if report.reference else "none",
    }
    for section in report.sections:
        if figure := section.figure("largest_class"):
            facts.setdefault("Largest class", words.value(section, figure))
    return facts | {"Written": datetime.date.today().isoformat()}


def _examples(section, cells, folder):
    """What was kept of a section's cells, with captions.

    Of every corruption it is the severity that is nearest to the middle.
    """
    kept = {}
    for cell in cells:
        kind = cell.corruption, cell.setting
        far = abs(cell.severity - gallery.MIDDLE)
        if _belongs(cell, section) and far < kept.get(kind, (math.inf,))[0]:
            if found := gallery.read(folder, cell):
                kept[kind] = far, {**found, "caption": _caption(cell, found)}
    return [found for _, found in kept.values()]


def _belongs(cell, section):
    if cell.suite != section.suite or cell.corruption in (None, section.name):
        return cell.suite == section.suite
    source = "generated" if cell.generator else cell.source
    return source == section.source and cell.corruption in section.cells


def _caption(cell, found):
    """`"fog, severity 3"`, or `"tilt, cat: 3 changes in 31 frames"`."""
    caption = charts.words_of(cell.setting or cell.corruption or "as they are")
    if not (frames := found["frames"]):
        return caption + f", severity {cell.severity}" * bool(cell.severity)
    label = found["examples"][0]["label"]
    of = f", {label}" if label else ""
    number = sum(a != b for a, b in itertools.pairwise(frames))
    noun = "change" if number == 1 else "changes"
    return f"{caption}{of}: {number or 'no'} {noun} in {len(frames)} frames"
