"""A report as one page of HTML, with all its charts and pictures inside."""

from noisymix_tf.evaluation.charts import bars, reliability
from noisymix_tf.evaluation.markup import element, join
from noisymix_tf.evaluation.sections.core import Bars, Reliability
from noisymix_tf.evaluation.writers.examples import examples
from noisymix_tf.evaluation.writers.headlines import headlines
from noisymix_tf.evaluation.writers.page import page
from noisymix_tf.evaluation.writers.tables import figures, values


def html(report, folder):
    """The report as a page that needs no other file, no network, no script.

    Args:
        report: `Report`.
        folder: Folder of the evaluation; its `examples/`, if any, hold the
            pictures (see `gallery`).

    Returns:
        The page, a str.

    Example:

    >>> pathlib.Path("run/report.html").write_text(html(report, "run"))
    """
    title = f"Robustness on {report.dataset}"
    return page(
        title,
        element("header", element("h1", title), _facts(report)),
        _cards(report),
        _contents(report),
        [_section(section, report, folder) for section in report.sections],
    )


def _facts(report):
    """Whom and what the report is about."""
    facts = [
        ("Dataset", report.dataset),
        ("Model", element("code", report.model)),
        ("Outputs", report.outputs or "not stated"),
        ("Reference", report.reference.name if report.reference else "none"),
    ]
    return element(
        "dl",
        [
            element("div", element("dt", name), element("dd", value))
            for name, value in facts
        ],
    )


def _cards(report):
    return element(
        "ul",
        [
            element(
                "li",
                card.title,
                element("strong", card.text),
                element("small", card.detail),
                _tag(card.source),
            )
            for card in headlines(report)
        ],
        class_="cards",
        aria_label="Headline figures",
    )


def _contents(report):
    links = [
        element("li", element("a", _title(section), href=f"#{section.name}"))
        for section in report.sections
    ]
    return element("nav", element("ul", links), aria_label="Sections")


def _title(section):
    """The title, told apart from that of the generated or released images."""
    if section.source in ("generated", "released"):
        return f"{section.title}, {section.source}"
    return section.title


def _tag(source):
    if not source:
        return None
    return element("span", source, class_=f"tag {source}")


def _section(section, report, folder):
    beside, below = _charts(section)
    return element(
        "section",
        element(
            "header",
            element("h2", section.title),
            _tag(section.source),
            element("p", f"{section.origin}.", class_="origin"),
        ),
        element(
            "div",
            figures(section),
            values(section),
            beside,
            below,
            examples(section, report.cells, folder),
            _notes(section),
            class_="body",
        ),
        id=section.name,
    )


def _charts(section):
    """Bars stand beside the table, diagrams below it."""
    beside = [bars.draw(c) for c in section.charts if isinstance(c, Bars)]
    below = [
        reliability.draw(c)
        for c in section.charts
        if isinstance(c, Reliability)
    ]
    return (
        join(beside),
        element("div", below, class_="pair wide") if below else None,
    )


def _notes(section):
    if not section.notes:
        return None
    return element(
        "div",
        element("h3", "Notes"),
        element("ul", [element("li", note) for note in section.notes]),
        class_="notes wide",
    )
