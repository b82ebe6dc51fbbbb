"""The page of a report: what it says, what it shows, and in a browser."""

import html as html_lib
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from noisymix_tf import corruptions
from noisymix_tf.evaluation.charts import heat
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.writers import style
from noisymix_tf.evaluation.writers.html import html
from support import evaluation_toys as toys
from support import report_page
from support.report_page import NAMES, Page, contrast, decoded, fill


@pytest.fixture(scope="module")
def report():
    cells = report_page.invented()
    return Report(cells, reference=report_page.REFERENCE)


@pytest.fixture(scope="module")
def path(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    fill(folder, report.cells)
    report.write(folder)
    return folder / "report.html"


@pytest.fixture(scope="module")
def page(path):
    return Page(path.read_text())


def test_the_page_needs_nothing_else_and_its_names_are_escaped(path, page):
    text = path.read_text()
    assert text.startswith("<!doctype html>") and len(text) < 3e6
    assert not re.search(r"://|@import|url\(|<b>dog|<base>", text)
    tags = {e["tag"] for e in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for e in page.elements:
        assert e.get("src", "data:image/").startswith("data:image/")
        assert e.get("href", "#").startswith("#")
        assert not [name for name in e if name.startswith("on")]
    heading = ['Robustness on toy "<&>"']
    assert page.texts("h1") == page.texts("title")[:1] == heading
    assert any(NAMES[1] in words for words in page.texts("span"))
    assert any(NAMES[1] in e["alt"] for e in page.all("img"))
    assert "runs/<base>/report.json" in page.texts("dl")[0]


def test_sections_and_their_sources(page):
    names = "clean c c_extra c_released p fgsm r calibration cost".split()
    assert [e["id"] for e in page.all("section")] == names
    assert [e["href"] for e in page.all("a")] == [f"#{n}" for n in names]
    assert page.texts("a")[3] == "Common corruptions, released"
    tags = [page.texts("span", "tag", name) for name in names[:4]]
    assert tags == [["original"], ["generated"], ["generated"], ["released"]]


def test_headlines_are_figures(page, report):
    cards = page.all("li")
    cards = [e["text"] for e in cards if e["in"][-2:] == ["main", "ul"]]
    assert len(cards) == 11
    for title, key, detail in (
        ("Clean accuracy", "clean/accuracy", "200 images"),
        ("Corruption accuracy", "c/mean_accuracy", "200 images per cell"),
        ("mFP", "p/mfp", "200 sequences per cell"),
        ("FGSM accuracy", "fgsm/accuracy[linf <1>]", "lowest of 2: linf <1>"),
        ("ECE, clean", "calibration/clean_ece", "200 images"),
    ):
        words = f"{title}{100 * report.figures[key]:.2f} %"
        assert any(c.startswith(words) and detail in c for c in cards)


def test_all_figures_tables_and_notes_are_there(page, report):
    for section in report.sections:
        rows = page.rows(section.name, "figures")
        assert rows == [[f.label, f.text] for f in section.figures]
        items = page.all("li", section=section.name)
        notes = [e["text"] for e in items if "ol" not in e["in"]]
        assert notes == list(section.notes)
        origin = page.texts("p", "origin", section.name)
        assert origin == [f"{section.origin}."]
        table = section.table
        if table and table.heat:
            fields = page.all("td", section=section.name)
            fields = [(e["text"], e["style"]) for e in fields if "style" in e]
            names = [n for group in table.groups.values() for n in group]
            shares = [v for n in names for v in table.rows[n][: table.heat]]
            wanted = [(f"{100 * s:.2f}", heat.style(s)) for s in shares]
            assert fields == wanted
    heads, *rows = page.rows("c", "values")
    assert heads == ["corruption", "1", "2", "3", "4", "5", "mean", "CE"]
    # 0.9 - 0.03 * 9 - 0.05 * severity, beside 50 %.
    values = [58.0, 53.0, 48.0, 43.0, 38.0, 48.0, 104.0]
    assert ["fog", *(f"{value:.2f}" for value in values)] in rows


def test_who_does_not_see_is_told(page):
    """The values of charts, and what pictures and cells of tables are."""
    words = "\n".join(e["aria-label"] for e in page.all("svg"))
    # 0.01 * sqrt(200 / 199) / sqrt(200).
    error = 100 * 0.01 / np.sqrt(199)
    assert f"tilt 4.00 % ± {error:.2f} % (runs/<base>/report.json" in words
    assert "fog 48.00 % (runs/<base>" in words
    assert "expected calibration error 2.50 %" in words
    scopes = {e["scope"] for e in page.all("th")}
    assert scopes == {"row", "col", "rowgroup"}
    images = page.all("img", section="fgsm")
    tiles = [e for e in page.all("li", section="fgsm") if "ol" in e["in"]]
    for image, tile in zip(images, tiles, strict=True):
        mark = {"✓": "right", "✗": "wrong"}[tile["text"][0]]
        assert tile["class"] == mark and image["alt"].endswith(f", {mark}")
    assert {tile["class"] for tile in tiles} == {"right", "wrong"}


def test_pictures_are_of_the_right_sections(page):
    strips = {}
    for e in page.all("figcaption"):
        strips.setdefault(e["section"], []).append(e["text"])
    names = [n.replace("_", " ") for n in report_page.COMMON]
    # The first caption of a section with a table is that of its bars.
    assert strips["clean"] == ["as they are"]
    assert strips["c"][1:] == [f"{name}, severity 3" for name in names]
    assert strips["c_released"][1:] == ["fog, severity 3"]
    assert strips["fgsm"] == ["linf eps=4/255", "linf <1>"]
    assert strips["r"] == ["shifted 3 classes", "clean 3 classes"]
    assert all("in 31 frames" in words for words in strips["p"][1:])
    counts = [len(page.all("img", section=x)) for x in ("clean", "c", "p")]
    assert counts == [6, 90, 60]


def test_pictures_of_other_cells_are_not_shown(tmp_path):
    ours, others = toys.clean_cell(), toys.clean_cell(model="another")
    fill(tmp_path, [others])
    report = Report({ours: toys.sums(0.5)})
    assert "<img" not in html(report, tmp_path)
    fill(tmp_path, [ours], seed=1)
    reports = report, Report({others: toys.sums(0.5)})
    pages = [Page(html(each, tmp_path)) for each in reports]
    one, other = ({e["src"] for e in page.all("img")} for page in pages)
    assert len(one) == 6 and not one & other
    # Of the severities the one nearest to 3, whatever run it is of.
    rows = {toys.cell("c", "fog", s): toys.sums(0.5) for s in (1, 4, 5)}
    for fog, severity in zip(rows, "144"):
        fill(tmp_path, [fog])
        text = html(Report(rows), tmp_path)
        assert re.findall(r"fog, severity (\d)", text) == [severity]


def test_a_resumed_evaluation_keeps_its_pictures(tmp_path):
    data, model = toys.dataset(), toys.random_model()
    options = {"suites": ("clean", "c", "fgsm"), "severities": (3,)}
    pages = []
    for each, computed in (
        (model, 5),
        (model, 0),
        (toys.random_model(seed=1), 5),
    ):
        results = toys.run(each, data, output_dir=tmp_path, **options)
        assert results.computed == computed
        pages.append(Page((tmp_path / "report.html").read_text()))
    page, again, other = pages
    assert again.elements == page.elements
    answers = [[e["alt"] for e in p.all("img")] for p in (page, other)]
    assert answers[0] != answers[1]
    # The pictures are what the model was shown: 6 of every cell.
    pictures = [decoded(e["src"]) for e in page.all("img")]
    assert len(pictures) == 6 * (1 + 2 + 2)
    images = data.test.images
    np.testing.assert_array_equal(pictures[2], images[9])
    noisy = corruptions.corrupt(images, "gaussian_noise", 3, 0)
    np.testing.assert_array_equal(pictures[6 * 2 + 5], noisy[22])
    assert np.abs(pictures[6 * 3 + 2].astype(int) - images[9]).max() == 4


def colours_of(scheme):
    blocks = re.findall(r":root \{(.*?)\}", style.STYLE, re.DOTALL)
    return dict(re.findall(r"--(\w+): (#\w+);", blocks[scheme == "dark"]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_marks_can_be_seen(scheme):
    """WCAG 2: 4.5 to 1 for text, 3 to 1 for the parts of charts."""
    colours = colours_of(scheme)
    for ground, least, names in (
        ("paper", 4.5, ("ink", "soft", "right", "wrong")),
        ("panel", 4.5, ("ink", "soft")),
        ("paper", 3, ("ours", "gap")),
    ):
        for name in names:
            assert contrast(colours[name], colours[ground]) >= least, name


MEASURE = """onload = () => {
  document.body.dataset.found = [...document.querySelectorAll("iframe")].map(
    frame => {
      const page = frame.contentDocument, parts = page.querySelectorAll(
        "h1, h2, h3, p, li:not(ol *), dd, figure:not(ol *), table.figures");
      const right = [...parts].map(e => e.getBoundingClientRect().right);
      return [Math.max(page.scrollingElement.scrollWidth, ...right),
        [...page.images].filter(e => e.naturalWidth).length].join(" ");
    }).join(";");
};"""


@pytest.mark.slow
def test_a_browser_shows_all_and_nothing_is_wider_than_the_screen(
    path, page, tmp_path
):
    """A telephone, a tablet and a desk; frames have the width of a screen."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no chromium or chrome on the PATH")
    widths, text = (390, 768, 1280), path.read_text()
    content = f"<!doctype html><meta charset=utf-8><script>{MEASURE}</script>"
    for width in widths:
        content += f'<iframe style="width:{width}px;height:6000px;border:0" '
        content += f'srcdoc="{html_lib.escape(text)}"></iframe>'
    frames, picture = tmp_path / "frames.html", tmp_path / "page.png"
    frames.write_text(content)
    flags = (
        "headless no-sandbox disable-gpu disable-quic disable-sync dump-dom "
        "disable-background-networking disable-component-update no-first-run "
        f"hide-scrollbars force-color-profile=srgb user-data-dir={tmp_path}/me "
        f"window-size=2500,6000 screenshot={picture}"
    )
    call = [browser, *(f"--{flag}" for flag in flags.split()), frames.as_uri()]
    seen = subprocess.check_output(call, text=True, timeout=120)
    found = re.search('data-found="(.*?)"', seen).group(1).split(";")
    for width, line in zip(widths, found, strict=True):
        right, images = line.split()
        assert float(right) <= width, line
        assert int(images) == text.count("<img")
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    codes = pixels @ [1 << 16, 1 << 8, 1]
    # A field of the heat map is some 50 by 30.
    wanted = [heat.colour(share) for share in (0.85, 0.82, 1.0, 0.25)]
    light = colours_of("light")
    wanted += [light[name] for name in ("ours", "theirs", "wrong", "soft")]
    for colour in wanted:
        assert (codes == int(colour[1:], 16)).sum() > 500, colour
    # The first picture, where it is: every pixel of it is there.
    wanted = decoded(page.all("img")[0]["src"]).astype(int)
    assert np.isin(wanted @ [1 << 16, 1 << 8, 1], codes).mean() > 0.95
