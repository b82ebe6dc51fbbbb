"""Charts: lengths, heights and colours against the numbers they stand for."""

import re

import numpy as np
import pytest

from noisymix_tf.evaluation import page, sections
from support.report_page import Page


def drawn(macro, *made, **options):
    name = "evaluation/templates/charts.html"
    template = page._environment().get_template(name)
    return Page(f"\n{getattr(template.module, macro)(*made, **options)}")


def numbers(found, of, name, tag="i"):
    styles = [e["style"] for e in found.all(tag, of) if "style" in e]
    pattern = rf"\b{name}:\s*([^;%]+)%"
    return np.array(re.findall(pattern, "\n".join(styles)), float)


def bars(values, **more):
    return sections.Bars("T<", "share", values, **more)


def close(found, wanted):
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_axes_end_at_round_numbers_and_colours_have_ink():
    ends = {0: 0.2, 1: 1, 1 + 1e-15: 1, 0.1 + 0.2: 0.3}
    for highest, end in (ends | {0.051: 0.06, 0.31: 0.4, 137: 150}).items():
        ticks = page.axis([bars({"b": 0.0}), bars({"a": highest})])
        assert (ticks[0], ticks[-1]) == pytest.approx((0, end))
        np.testing.assert_allclose(np.diff(ticks), ticks[1])
        assert len(ticks) < 8
    assert page.ticks([-1.5, -1.5]) == [-1.5, -1.0]
    colours = {1.0: "#fee838;color:black", 0.0: "#00224e;color:white"}
    for share, css in colours.items():
        metric = np.r_[share, 0.5 * np.ones(200)]
        assert page.heat(metric) == page.heat(share) == f"background:{css}"


def test_lengths_of_bars_and_whiskers_are_the_values():
    long = "a<b" + "x" * 30
    values = {"fog": 0.4, "gaussian_noise": 0.1, long: 0.0}
    made = bars(values, reference={"fog": 0.8, long: 0.05}, reference_name="R")
    chart = drawn("bars", made, page.axis([made]), step=1 / 200)
    close(numbers(chart, "grid", "left"), [0, 25, 50, 75, 100])
    close(numbers(chart, "ours", "width"), [50, 12.5, 0])
    close(numbers(chart, "theirs", "width"), [100, 6.25])
    assert chart.texts("span", "name") == ["fog", "gaussian noise", long]
    told = [e["title"] for e in chart.all("div", "bar")]
    assert told[:2] == ["this model: 40.0 %", "R: 80.0 %"]
    # Whiskers are standard errors, within what can be; an axis may be shared.
    values, errors = {"a": 0.95, "b_c": 0.1}, {"a": 0.1, "b_c": 0.2}
    made = bars(values, errors=errors, limit=1.0)
    for end in (1, 2):
        chart = drawn("bars", made, [0.0, float(end)])
        assert chart.texts("div", "bar") == ["95 ± 10", "10 ± 20"]
        close(numbers(chart, "ours", "width") * end, [95, 10])
        close(numbers(chart, "error", "left") * end, [85, 0])
        close(numbers(chart, "error", "width") * end, [15, 30])


def test_heights_of_an_overview_are_the_values_and_lines_show_a_loss():
    metric = np.r_[0.4, np.tile([0.3, 0.5], 100)]
    one = sections.Figure("", "severity 1", metric)
    groups = {"noise": [one, sections.Figure("", "severity 2", 0.95)]}
    chart = drawn("overview", groups, 0.125)
    close(numbers(chart, "ours", "height"), [40, 95])
    close(numbers(chart, "error", "bottom"), [100 * (0.4 - one.error), 95])
    close(numbers(chart, "error", "height"), [200 * one.error, 0])
    close(numbers(chart, "level", "bottom"), 12.5)
    assert chart.all("b")[-1]["text"] == "noise40–95"
    clean = sections.Figure("", "clean images", 0.9)
    chart = drawn("overview", {"clean": [clean], **groups}, 0.125)
    close(numbers(chart, "level", "bottom"), [90, 12.5])


def test_a_reliability_diagram_is_its_bins():
    bins = [[50, 41.0, 45], [20, 18.0, 10], [30, 29.4, 29.4]]
    made = sections.Reliability("T<", [[0, 0.0, 0]] * 12 + bins, 0.123)
    chart = drawn("reliability", made)
    close(numbers(chart, "ours", "height"), [90, 50, 98])
    close(numbers(chart, "gap", "height"), [8, 40, 0])
    close(numbers(chart, "gap", "bottom"), [82, 50, 98])
    close(numbers(chart, "count", "height"), 15 * np.array([1, 0.4, 0.6]))
    close(numbers(chart, "ours", "left"), 100 * np.array([12, 13, 14]) / 15)
    close(numbers(chart, "ours", "width"), 100 / 15)
    sides = [e["class"] for e in chart.all("i", "gap") if "style" in e]
    assert sides[:2] == ["gap under", "gap over"]
    assert chart.texts("b")[0] == "ECE 12.30 %"
    assert chart.texts("td")[4:8] == ["20", "90", "50", "-40"]
