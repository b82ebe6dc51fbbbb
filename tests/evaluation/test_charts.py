"""Charts: lengths, heights and colours against the numbers they stand for."""

import io

import numpy as np
import pytest
from PIL import Image

from noisymix_tf.evaluation import plots, sections
from noisymix_tf.evaluation.charts import bars, frames, heat, reliability, scale
from noisymix_tf.evaluation.markup import element
from support.report_page import Page


def drawn(module, made):
    """A drawing, its words, and where the lines of its grid are."""
    page = Page(f"\n{module.draw(made)}")
    words = page.all("svg")[0]["aria-label"]
    return page, words, numbers(page, "grid", "x1", "line")


def numbers(page, of, attribute, tag="rect"):
    found = [e[attribute].strip("%") for e in page.all(tag, of)]
    return np.array(found, float)


def test_text_is_escaped_axes_end_at_round_numbers_and_films_have_marks():
    inner = element("b", '<&">', 1.25, 7, None)
    assert inner == "<b>&lt;&amp;&quot;&gt;1.257</b>"
    outer = element("p", [inner, "x<y"], class_="a", title='"<', id=None)
    assert outer == f'<p class="a" title="&quot;&lt;">{inner}x&lt;y</p>'
    assert element("img", x=1 / 3, aria_l=1) == '<img x="0.333" aria-l="1">'
    ends = {0: 1, 1: 1, 0.1 + 0.2: 0.3, 0.051: 0.06, 0.31: 0.4, 137: 200}
    for highest, end in ends.items():
        found, ticks = scale.axis(highest)
        assert (found, ticks[0], ticks[-1]) == pytest.approx((end, 0, end))
        np.testing.assert_allclose(np.diff(ticks), ticks[1])
    assert scale.tick(0.015, "percent") == "1.5 %"
    # Along a film a mark is high where the class is another.
    film = Page(f"\n{frames.draw(['cat', 'cat', '<dog>', 'cat'])}")
    marks = [(e["class"], e["height"]) for e in film.all("rect")]
    assert marks[1:] == [("same", "4"), ("other", "10"), ("same", "4")]
    words = "2 changes in 4 frames", "no changes in 2 frames"
    assert (frames.in_words("abba"), frames.in_words("aa")) == words
    assert frames.in_words("ab") == "1 change in 2 frames"


def test_lengths_of_bars_and_whiskers_are_the_values():
    long = "a<b" + "x" * 30
    values = {"fog": 0.4, "gaussian_noise": 0.1, long: 0.0}
    theirs = {"fog": 0.8, "gaussian_noise": 0.05}
    made = sections.Bars("T", "share", values, "percent", {}, theirs, "R")
    chart, words, ticks = drawn(bars, made)
    for name, wanted in (("ours", values), ("theirs", theirs)):
        widths = np.ptp(ticks) * np.array(list(wanted.values()))
        found = numbers(chart, name, "width")
        np.testing.assert_allclose(found, widths, atol=2e-3)
        assert (numbers(chart, name, "x") == ticks[0]).all()
    # Long names are cut on the drawing only.
    *names, cut = chart.texts("text", "name")
    assert names == ["fog", "gaussian noise"]
    assert len(cut) == 19 and cut.endswith("…") and long in words
    assert "fog 40.00 % (R: 80.00 %)" in words
    # Whiskers are standard errors, within what can be.
    values, errors = {"a": 0.95, "b_c": 0.1}, {"a": 0.1, "b_c": 0.2}
    made = sections.Bars("T", "share", values, errors=errors, limit=1.0)
    chart, words, ticks = drawn(bars, made)
    assert len(ticks) == 5  # 0, 25, 50, 75 and 100 %; none beyond.
    widths = numbers(chart, "ours", "width") / np.ptp(ticks)
    np.testing.assert_allclose(widths, [0.95, 0.1], atol=1e-4)
    ends = [numbers(chart, "error", x, "line") for x in ("x1", "x2")]
    found = (np.transpose(ends)[::3] - ticks[0]) / np.ptp(ticks)
    np.testing.assert_allclose(found, [(0.85, 1), (0, 0.3)], atol=1e-4)


def test_a_reliability_diagram_is_its_bins():
    bins = [[50, 41.0, 45], [20, 18.0, 10], [30, 29.4, 29.4]]
    made = sections.Reliability("T<", [[0, 0.0, 0]] * 12 + bins, 0.123)
    chart, _, ticks = drawn(reliability, made)
    side = np.ptp(ticks)
    accuracy, confidence = np.array([[0.9, 0.5, 0.98], [0.82, 0.9, 0.98]])
    most = numbers(chart, "count", "height")[0]
    for name, wanted in (
        ("ours", side * accuracy),
        ("gap", side * np.abs(accuracy - confidence)),
        ("count", most * np.r_[1, 0.4, 0.6]),
    ):
        found = numbers(chart, name, "height")
        np.testing.assert_allclose(found, wanted, atol=2e-3)
    steps = np.diff(numbers(chart, "ours", "x"))
    np.testing.assert_allclose(steps, side / 15, atol=2e-3)
    sides = [e["class"] for e in chart.all("rect", "gap")]
    assert sides[:2] == ["gap under", "gap over"]
    assert chart.texts("b") == ["ECE 12.30 %"]
    assert chart.texts("td")[4:8] == ["20", "90.00", "50.00", "-40.00"]


def test_the_picture_shows_the_columns_it_should():
    heads, rows = ("1", "2", "mean", "CE"), {"fog": (1.0, None, 1.0, 300.0)}
    table = sections.Table("c", heads, rows, {"w": ["fog"]}, heat=3)
    section = sections.Section("c", "$T$", 5, "generated", "", (), table)
    png = plots.heatmap([section], "no $formula")
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    yellow = np.abs(pixels - [0xFE, 0xE8, 0x38]).sum(-1) < 6
    # Above the numbers: a field, a gap for what was not measured, a field, and
    # none for the fourth column. The bar of colours begins further down.
    row = yellow[np.flatnonzero(yellow.any(1))[0] + 2].astype(int)
    one, gap, other = np.diff(np.flatnonzero(np.diff(row)))
    assert (gap, other) == pytest.approx((one, one), abs=12)
    assert heat.style(1.0) == "background:#fee838;color:black"
    assert heat.style(0.0).endswith("color:white")
