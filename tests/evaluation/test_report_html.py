"""The page of a report: what it says, and which pictures it shows."""

import re

import numpy as np
import pytest

from noisymix_tf import corruptions
from noisymix_tf.evaluation.charts import heat
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.writers.html import html
from support.evaluation_toys import (
    cell,
    clean_cell,
    dataset,
    random_model,
    run,
    sums,
)
from support.report_page import NAMES, REFERENCE, Page, decoded, fill, invented


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    fill(folder, invented())
    return folder


@pytest.fixture(scope="module")
def report():
    return Report(invented(), reference=REFERENCE)


@pytest.fixture(scope="module")
def text(report, folder):
    report.write(folder)
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


# What it says.


def test_the_page_needs_nothing_else(text, page):
    assert text.startswith("<!doctype html>")
    assert "://" not in text and "@import" not in text
    assert not re.search(r"url\(", text)
    tags = {e["tag"] for e in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for e in page.elements:
        assert e.get("src", "data:image/").startswith("data:image/")
        assert e.get("href", "#").startswith("#")
        assert not [name for name in e if name.startswith("on")]
    assert len(text) < 3e6


def test_names_are_escaped(text, page):
    assert "<b>dog" not in text and "<base>" not in text
    (heading,) = page.all("h1")
    assert heading["text"] == 'Robustness on toy "<&>"'
    assert page.all("title")[0]["text"] == heading["text"]
    spans = {e["text"] for e in page.all("span")}
    assert any(NAMES[1] in span for span in spans)
    assert any(NAMES[1] in e["alt"] for e in page.all("img"))
    assert "runs/<base>/report.json" in page.all("dl")[0]["text"]


def test_the_order_of_the_page(page):
    sections = [e["id"] for e in page.all("section")]
    assert sections == [
        "clean",
        "c",
        "c_extra",
        "c_released",
        "p",
        "fgsm",
        "r",
        "calibration",
        "cost",
    ]
    links = [e["href"] for e in page.all("a")]
    assert links == [f"#{name}" for name in sections]
    first = {}
    for place, e in enumerate(page.elements):
        if e["section"] == "c_released":
            kind = (e["tag"], e.get("class", "").split(" ")[0])
            first.setdefault(kind, place)
    order = [
        first[kind]
        for kind in (
            ("h2", ""),
            ("p", "origin"),
            ("table", "figures"),
            ("table", "values"),
            ("figure", "bars"),
            ("div", "examples"),
            ("div", "notes"),
        )
    ]
    assert order == sorted(order)


def test_sources_are_told_apart(page):
    for name, source in (
        ("c", "generated"),
        ("c_released", "released"),
        ("clean", "original"),
        ("r", "released"),
    ):
        tags = [e["text"] for e in page.all("span", "tag", name)]
        assert tags == [source]
    links = [e["text"] for e in page.all("a")]
    assert "Common corruptions, released" in links


def test_headlines_are_figures(page, report):
    cards = [
        e["text"] for e in page.all("li") if e["in"][-2:] == ["main", "ul"]
    ]
    figures = report.figures
    assert len(cards) == 11
    for title, key, n in (
        ("Clean accuracy", "clean/accuracy", "200 images"),
        ("Corruption accuracy", "c/mean_accuracy", "200 images per cell"),
        ("mFP", "p/mfp", "200 sequences per cell"),
        ("FGSM accuracy", "fgsm/accuracy[linf <1>]", "lowest of 2: linf <1>"),
        ("ECE, clean", "calibration/clean_ece", "200 images"),
    ):
        (card,) = [c for c in cards if c.startswith(title) and n in c][:1]
        assert f"{title}{100 * figures[key]:.2f} %" in card
    (card,) = [c for c in cards if c.startswith("mCE")]
    assert f"{figures['c/mce']:.2f} %" in card


def test_all_figures_and_notes_are_there(page, report):
    for section in report.sections:
        rows = page.rows(section.name, "figures")
        assert rows == [[f.label, f.text] for f in section.figures]
        notes = [
            e["text"]
            for e in page.all("li", section=section.name)
            if "ol" not in e["in"]
        ]
        assert notes == list(section.notes)
        (origin,) = page.all("p", "origin", section.name)
        assert origin["text"] == f"{section.origin}."


def test_numbers_and_colours_of_the_heat_map_are_the_table(page, report):
    for section in report.sections:
        table = section.table
        if not table or not table.heat:
            continue
        fields = [
            (e["text"], e["style"])
            for e in page.all("td", section=section.name)
            if "style" in e
        ]
        names = [n for group in table.groups.values() for n in group]
        shares = [v for n in names for v in table.rows[n][: table.heat]]
        assert fields == [
            (f"{100 * share:.2f}", heat.style(share)) for share in shares
        ]
    heads = page.rows("c", "values")[0]
    assert heads == ["corruption", "1", "2", "3", "4", "5", "mean", "CE"]
    fog = next(row for row in page.rows("c", "values") if row[0] == "fog")
    accuracy = [100 * (0.9 - 0.03 * 9 - 0.05 * s) for s in range(1, 6)]
    mean = np.mean(accuracy)
    expected = [*accuracy, mean, 100 * (100 - mean) / 50]
    assert fog[1:] == [f"{value:.2f}" for value in expected]


def test_charts_say_their_values(page):
    words = [e["aria-label"] for e in page.all("svg") if e["role"] == "img"]
    assert len(words) == len(page.all("svg"))
    (flips,) = [w for w in words if w.startswith("Flip probability")]
    # 0.01 * sqrt(200 / 199) / sqrt(200).
    error = 100 * 0.01 / np.sqrt(199)
    assert f"tilt 4.00 % ± {error:.2f} % (runs/<base>/report.json" in flips
    (bars,) = [w for w in words if "fog 48.00 % (runs/<base>" in w]
    assert bars.startswith("Accuracy by corruption")
    assert any("expected calibration error 2.50 %" in w for w in words)


def test_tables_name_their_rows_and_columns(page):
    for e in page.all("th"):
        assert e["scope"] in ("row", "col", "rowgroup")
    for e in page.all("img"):
        assert e["alt"]


# Pictures.


def test_pictures_are_of_the_right_sections(page):
    strips = {}
    for e in page.all("figcaption"):
        if "ol" not in e["in"] and e["in"][-1] == "figure":
            strips.setdefault(e["section"], []).append(e["text"])
    assert strips["clean"] == ["as they are"]
    common = [n.replace("_", " ") for n in corruptions.names("common")]
    assert strips["c"][1:] == [f"{name}, severity 3" for name in common]
    assert strips["c_extra"][1:] == ["saturate, severity 3"]
    assert strips["c_released"][1:] == ["fog, severity 3"]
    assert strips["fgsm"] == ["linf eps=4/255", "linf <1>"]
    assert strips["r"] == ["shifted 3 classes", "clean 3 classes"]
    assert all("in 31 frames" in words for words in strips["p"][1:])
    count = {name: len(page.all("img", section=name)) for name in strips}
    assert (count["clean"], count["c"], count["p"]) == (6, 90, 60)


def test_right_and_wrong_are_told_in_words(page):
    images = page.all("img", section="fgsm")
    tiles = [e for e in page.all("li", section="fgsm") if "ol" in e["in"]]
    assert len(images) == len(tiles) == 12
    verdicts = set()
    for image, tile in zip(images, tiles):
        mark = tile["class"]
        verdicts.add(mark)
        symbol = {"right": "✓", "wrong": "✗"}[mark]
        assert tile["text"].startswith(symbol)
        assert image["alt"].endswith(f", {mark}")
    assert verdicts == {"right", "wrong"}


def test_pictures_of_another_model_are_not_shown(tmp_path):
    ours, others = clean_cell(), clean_cell(model="another")
    fill(tmp_path, [others])
    report = Report({ours: sums(0.5)})
    assert "<img" not in html(report, tmp_path)
    fill(tmp_path, [ours], seed=1)
    one = html(report, tmp_path)
    assert one.count("<img") == 6
    other = html(Report({others: sums(0.5)}), tmp_path)
    sources = [{e["src"] for e in Page(t).all("img")} for t in (one, other)]
    assert not sources[0] & sources[1]


def test_the_severity_nearest_to_the_middle_is_shown(tmp_path):
    rows = {cell("c", "fog", s): sums(0.5) for s in (1, 4, 5)}
    # Two runs: the first was ended after severity 1.
    fill(tmp_path, list(rows)[:1])
    assert "fog, severity 1" in html(Report(rows), tmp_path)
    fill(tmp_path, list(rows)[1:])
    text = html(Report(rows), tmp_path)
    assert text.count("fog, severity") == 1 and "fog, severity 4" in text


def test_no_pictures_no_charts():
    page = Page(html(Report({clean_cell(): sums(0.5)}), "/does/not/exist"))
    assert not page.all("img") and len(page.all("section")) == 2


def test_a_resumed_evaluation_keeps_its_pictures(tmp_path):
    options = {
        "suites": ("clean", "c", "fgsm"),
        "severities": (3,),
        "output_dir": tmp_path,
    }
    data, model = dataset(), random_model()
    first = run(model, data, **options)
    before = (tmp_path / "report.html").read_text()
    page = Page(before)
    assert len(page.all("img")) == 6 * (1 + 2 + 2)
    second = run(model, data, **options)
    assert (first.computed, second.computed) == (5, 0)
    assert (tmp_path / "report.html").read_text() == before
    # The pictures are what the model was shown.
    shown = decoded(page.all("img", section="clean")[2]["src"])
    np.testing.assert_array_equal(shown, data.test.images[9])
    noisy = corruptions.corrupt(data.test.images, "gaussian_noise", 3, 0)
    strips = page.all("img", section="c")
    np.testing.assert_array_equal(decoded(strips[6 + 5]["src"]), noisy[22])
    attacked = decoded(page.all("img", section="fgsm")[2]["src"])
    moved = np.abs(attacked.astype(int) - data.test.images[9])
    assert moved.max() == 4
    third = run(random_model(seed=1), data, **options)
    assert third.computed == 5
    after = Page((tmp_path / "report.html").read_text())
    predicted = [e["alt"] for e in page.all("img")]
    assert [e["alt"] for e in after.all("img")] != predicted
