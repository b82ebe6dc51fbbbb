"""Charts: lengths, heights and colours against the numbers they stand for."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from noisymix_tf.evaluation import plots
from noisymix_tf.evaluation.charts import (
    bars,
    frames,
    heat,
    reliability,
    scale,
)
from noisymix_tf.evaluation.markup import Markup, element
from noisymix_tf.evaluation.metrics import calibration_error
from noisymix_tf.evaluation.sections import (
    Bars,
    Reliability,
    Section,
    Table,
)
from support.report_page import contrast, luminance


def parsed(markup):
    assert isinstance(markup, Markup)
    return ElementTree.fromstring(markup)


def of_class(tree, tag, name, *attributes):
    """Elements, or numbers out of their attributes, `"31.5%"` among them."""
    found = [e for e in tree.iter(tag) if name in e.get("class", "").split()]
    if not attributes:
        return found
    return np.squeeze(
        [[float(e.get(a).strip("%")) for a in attributes] for e in found]
    )


def test_text_is_escaped_and_markup_is_not():
    inner = element("b", '<&">', 1.25, 7, None)
    assert inner == "<b>&lt;&amp;&quot;&gt;1.257</b>"
    outer = element("p", [inner, "x<y"], class_="a", title='"<', id=None)
    assert outer == f'<p class="a" title="&quot;&lt;">{inner}x&lt;y</p>'
    assert element("img", src="a") == '<img src="a">'
    assert element("rect", x=0.5, y=1 / 3, aria_label="z") == (
        '<rect x="0.5" y="0.333" aria-label="z"></rect>'
    )


@pytest.mark.parametrize(
    "highest, end",
    [(0.0, 1.0), (1.0, 1.0), (0.1 + 0.2, 0.3), (0.051, 0.06), (137.0, 200.0)],
)
def test_an_axis_ends_at_a_round_number(highest, end):
    found, ticks = scale.axis(highest)
    assert found == pytest.approx(end, rel=1e-12)
    assert (ticks[0], ticks[-1]) == (0.0, pytest.approx(end))
    np.testing.assert_allclose(np.diff(ticks), ticks[1])
    assert scale.tick(0.015, "percent") == "1.5 %"
    assert scale.tick(1.0, "number") == "1"


LONG = "a<b" + "x" * 30
VALUES = {"fog": 0.4, "gaussian_noise": 0.1, LONG: 0.0}
THEIRS = {"fog": 0.8, "gaussian_noise": 0.05}


def test_lengths_of_bars_are_the_values():
    chart = Bars("T", "share", VALUES, reference=THEIRS, reference_name="R")
    tree = parsed(bars.draw(chart))
    # The axis ends at 1.
    ticks = of_class(tree, "line", "grid", "x1")
    whole = ticks[-1] - ticks[0]
    for name, wanted in (("ours", [0.4, 0.1, 0]), ("theirs", [0.8, 0.05])):
        widths = of_class(tree, "rect", name, "width")
        np.testing.assert_allclose(widths, whole * np.array(wanted), atol=1e-3)
        assert set(of_class(tree, "rect", name, "x")) == {ticks[0]}
    numbers = [e.text for e in of_class(tree, "text", "number")]
    assert numbers == ["40.00", "80.00", "10.00", "5.00", "0.00"]
    keys = ["".join(e.itertext()) for e in of_class(tree, "span", "key")]
    assert keys == ["this model", "R"]
    # Long names are cut on the drawing only.
    names = [e.text for e in of_class(tree, "text", "name")]
    assert names[:2] == ["fog", "gaussian noise"]
    assert len(names[2]) == 19 and names[2].endswith("…")
    words = next(tree.iter("svg")).get("aria-label")
    assert LONG in words and "fog 40.00 % (R: 80.00 %)" in words


@pytest.mark.parametrize("reference", [{}, THEIRS])
def test_no_two_bars_overlap(reference):
    tree = parsed(bars.draw(Bars("T", "share", VALUES, reference=reference)))
    spans = sorted(
        (float(e.get("y")), float(e.get("y")) + float(e.get("height")))
        for e in tree.iter("rect")
    )
    assert len(spans) == len(VALUES) + len(reference)
    for (_, bottom), (top, _) in itertools.pairwise(spans):
        assert bottom <= top
    assert spans[-1][1] <= float(next(tree.iter("svg")).get("height"))


def test_whiskers_are_standard_errors_within_what_can_be():
    errors = {"fog": 0.05, "gaussian_noise": 0.2}
    tree = parsed(bars.draw(Bars("T", "share", VALUES, errors=errors)))
    ticks = of_class(tree, "line", "grid", "x1")
    # 0.4 + 0.05 is the highest, the axis ends at 0.6.
    unit = (ticks[-1] - ticks[0]) / 0.6
    lines = of_class(tree, "line", "error", "x1", "x2")
    assert len(lines) == 6
    spans = [(x1, x2) for x1, x2 in lines if x1 != x2]
    # No probability is below zero.
    expected = ticks[0] + unit * np.array([(0.35, 0.45), (0.0, 0.3)])
    np.testing.assert_allclose(spans, expected, atol=2e-3)
    numbers = [e.text for e in of_class(tree, "text", "number")]
    assert numbers == ["40.00 ± 5.00", "10.00 ± 20.00", "0.00"]
    words = next(tree.iter("svg")).get("aria-label")
    assert "gaussian noise 10.00 % ± 20.00 %" in words
    chart = Bars("T", "share", {"a": 0.95}, errors={"a": 0.1}, limit=1.0)
    tree = parsed(bars.draw(chart))
    ticks = of_class(tree, "line", "grid", "x1")
    assert len(ticks) == 5  # 0, 25, 50, 75 and 100 %; none beyond.
    assert of_class(tree, "line", "error", "x2").max() == ticks[-1]


def test_a_reliability_diagram_is_its_bins():
    bins = [[0, 0.0, 0]] * 12
    bins += [[50, 41.0, 45], [20, 18.0, 10], [30, 29.4, 29.4]]
    error = calibration_error(bins)
    tree = parsed(reliability.draw(Reliability("T<", bins, error)))
    ours, gaps, counts = (
        of_class(tree, "rect", name, "height")
        for name in ("ours", "gap", "count")
    )
    side = np.ptp(of_class(tree, "line", "grid", "x1"))
    accuracy, confidence = np.array([[0.9, 0.5, 0.98], [0.82, 0.9, 0.98]])
    np.testing.assert_allclose(ours, side * accuracy, atol=1e-3)
    wanted = side * np.abs(accuracy - confidence)
    np.testing.assert_allclose(gaps, wanted, atol=1e-3)
    np.testing.assert_allclose(counts / counts[0], [1, 0.4, 0.6], rtol=1e-4)
    sides = [e.get("class") for e in of_class(tree, "rect", "gap")]
    assert sides[:2] == ["gap under", "gap over"]
    places = of_class(tree, "rect", "ours", "x")
    np.testing.assert_allclose(np.diff(places), side / 15, atol=2e-3)
    words = "".join(tree.itertext())
    assert f"ECE {100 * error:.2f} %" in words and "100 predictions" in words
    rows = [["".join(c.itertext()) for c in row] for row in tree.iter("tr")]
    assert rows[1:] == [
        ["0.80–0.87", "50", "82.00", "90.00", "8.00"],
        ["0.87–0.93", "20", "90.00", "50.00", "-40.00"],
        ["0.93–1.00", "30", "98.00", "98.00", "0.00"],
    ]
    titles = [e.text for e in tree.iter("title")]
    assert titles[1] == (
        "Confidence from 0.87 to 0.93: 20 predictions, accuracy 50.00 %, mean "
        "confidence 90.00 %."
    )


def test_a_mark_is_high_where_the_class_is_another():
    tree = parsed(frames.draw(["cat", "cat", "<dog>", "cat"]))
    marks = [e.get("class") for e in tree.iter("rect")]
    assert marks == ["same", "same", "other", "same"]
    heights = [float(e.get("height")) for e in tree.iter("rect")]
    assert heights[2] > heights[1]
    assert frames.in_words(["a", "b", "b", "a"]) == "2 changes in 4 frames"
    assert frames.in_words(["a", "a"]) == "no changes in 2 frames"
    assert frames.in_words(["a", "b"]) == "1 change in 2 frames"


def test_heat_grows_lighter_and_its_numbers_can_be_read():
    shares = np.linspace(0, 1, 101)
    light = [luminance(heat.colour(share)) for share in shares]
    # Rises everywhere, so that it reads without any colour at all.
    assert np.all(np.diff(light) > -1e-4) and light[-1] > 0.75 > 0.03 > light[0]
    for share in shares:
        assert contrast(heat.colour(share), heat.ink(share)) > 4.2
    assert heat.style(1.0) == "background:#fee838;color:black"
    assert len(re.findall("#[0-9a-f]{6}", heat.gradient())) == 11


def test_the_picture_shows_the_columns_it_should(tmp_path):
    image = pytest.importorskip("PIL.Image")
    rows = {"fog": (1.0, None, 1.0, 300.0)}
    table = Table("c", ("1", "2", "mean", "CE"), rows, {"w": ["fog"]}, heat=3)
    section = Section("c", "$T$", 5, "generated", "", (), table)
    path = tmp_path / "map.png"
    path.write_bytes(plots.heatmap([section], "no $formula"))
    with image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    yellow = np.abs(pixels - [0xFE, 0xE8, 0x38]).sum(-1) < 6
    # Above the numbers: a field, a gap for what was not measured, a field, and
    # none for the fourth column. The bar of colours begins further down.
    row = yellow[np.flatnonzero(yellow.any(1))[0] + 2].astype(int)
    starts = np.flatnonzero(np.diff(row) == 1)
    ends = np.flatnonzero(np.diff(row) == -1)
    assert len(starts) == len(ends) == 2
    widths = ends - starts
    assert widths[0] == pytest.approx(widths[1], abs=6)
    assert starts[1] - ends[0] == pytest.approx(widths[0], abs=12)
