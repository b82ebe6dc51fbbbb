"""The page of a report: what it says and what it shows."""

import re

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.evaluation.charts import heat
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.writers.html import html
from support import evaluation_toys as toys
from support import report_page
from support.report_page import COMMON, NAMES, Page, decoded, fill


def test_the_page_is_whole_by_itself_and_says_what_the_report_says(tmp_path):
    report = Report(report_page.invented(), reference=report_page.REFERENCE)
    fill(tmp_path, report.cells)
    text = html(report, tmp_path)
    page = Page(text)
    assert text.startswith("<!doctype html>") and len(text) < 3e6
    assert not re.search(r"://|@import|url\(|<b>dog|<base>", text)
    tags = {e["tag"] for e in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for e in page.elements:
        assert e.get("src", "data:image/").startswith("data:image/")
        assert e.get("href", "#").startswith("#")
        assert not [name for name in e if name.startswith("on")]
    assert page.texts("h1") == ['Robustness on toy "<&>"']
    assert any(NAMES[1] in e["alt"] for e in page.all("img"))
    assert "runs/<base>/report.json" in page.texts("dl")[0]
    # Headlines and sections are figures, tables and notes.
    cards = page.all("li")
    cards = [e["text"] for e in cards if e["in"][-2:] == ["main", "ul"]]
    for title, key, detail in (
        ("Clean accuracy", "clean/accuracy", "200 images"),
        ("mFP", "p/mfp", "200 sequences per cell"),
        ("FGSM accuracy", "fgsm/accuracy[linf <1>]", "lowest of 2: linf <1>"),
        ("ECE, clean", "calibration/clean_ece", "200 images"),
    ):
        words = f"{title}{100 * report.figures[key]:.2f} %"
        assert any(c.startswith(words) and detail in c for c in cards)
    names = "clean c c_extra c_released p fgsm r calibration cost".split()
    assert [e["id"] for e in page.all("section")] == names
    assert [e["href"] for e in page.all("a")] == [f"#{n}" for n in names]
    for section in report.sections:
        rows = page.rows(section.name, "figures")
        assert rows == [[f.label, f.text] for f in section.figures]
        items = page.all("li", section=section.name)
        notes = [e["text"] for e in items if "ol" not in e["in"]]
        assert notes == list(section.notes)
    styles = {e["text"]: e.get("style") for e in page.all("td", section="c")}
    assert (styles["58.00"], styles["104.00"]) == (heat.style(0.58), None)
    heads, *rows = page.rows("c", "values")
    assert heads == "corruption 1 2 3 4 5 mean CE".split()
    # 0.9 - 0.03 * 9 - 0.05 * severity, beside 50 %.
    assert "fog 58.00 53.00 48.00 43.00 38.00 48.00 104.00".split() in rows
    # Pictures and charts are told to who does not see.
    words = "\n".join(e["aria-label"] for e in page.all("svg"))
    # 0.01 * sqrt(200 / 199) / sqrt(200).
    assert "tilt 4.00 % ± 0.07 % (runs/<base>/report.json" in words
    images = page.all("img", section="fgsm")
    tiles = [e for e in page.all("li", section="fgsm") if "ol" in e["in"]]
    for image, tile in zip(images, tiles, strict=True):
        mark = {"✓": "right", "✗": "wrong"}[tile["text"][0]]
        assert tile["class"] == mark and image["alt"].endswith(f", {mark}")
    assert {tile["class"] for tile in tiles} == {"right", "wrong"}
    for name, count, *captions in (
        ("clean", 6, "as they are"),
        ("c", 90, *(f"{n.replace('_', ' ')}, severity 3" for n in COMMON)),
        ("fgsm", 12, "linf eps=4/255", "linf <1>"),
    ):
        found = page.texts("figcaption", None, name)
        assert found[-len(captions) :] == captions
        assert len(page.all("img", section=name)) == count
    assert "in 31 frames" in page.texts("figcaption", None, "p")[-1]


def test_severity_3_or_the_nearest_is_shown_also_of_resumed_runs(tmp_path):
    rows = {toys.cell("c", "fog", s): toys.sums(0.5) for s in (1, 4, 5)}
    for fog, severity in zip(rows, "144"):
        fill(tmp_path, [fog])
        text = html(Report(rows), tmp_path)
        assert re.findall(r"fog, severity (\d)", text) == [severity]
    other = toys.suite_c({"fog": [0.5] * 5}, model="another")
    assert "<img" not in html(Report(other), tmp_path)
    # A resumed evaluation keeps its pictures.
    data, model = toys.dataset(), toys.random_model()
    options = {"suites": ("clean", "c", "fgsm"), "severities": (3,)}
    for computed in (5, 0):
        results = toys.run(model, data, output_dir=tmp_path, **options)
        assert results.computed == computed
    page = Page((tmp_path / "report.html").read_text())
    # The pictures are what the model was shown: 6 of every cell.
    pictures = [decoded(e["src"]) for e in page.all("img")]
    assert len(pictures) == 6 * (1 + 2 + 2)
    images = data.test.images
    np.testing.assert_array_equal(pictures[2], images[9])
    noisy = corruptions.corrupt(images, "gaussian_noise", 3, 0)
    np.testing.assert_array_equal(pictures[6 * 2 + 5], noisy[22])
    assert np.abs(pictures[6 * 3 + 2].astype(int) - images[9]).max() == 4
