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
from support.evaluation_toys import (
    cell,
    clean_cell,
    dataset,
    random_model,
    run,
    sums,
)
from support.report_page import (
    NAMES,
    REFERENCE,
    Page,
    contrast,
    decoded,
    fill,
    invented,
)


@pytest.fixture(scope="module")
def report():
    return Report(invented(), reference=REFERENCE)


@pytest.fixture(scope="module")
def folder(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    fill(folder, invented())
    report.write(folder)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_needs_nothing_else_and_has_no_script(text, page):
    assert text.startswith("<!doctype html>")
    assert "://" not in text and "@import" not in text and "url(" not in text
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
    assert any(NAMES[1] in e["text"] for e in page.all("span"))
    assert any(NAMES[1] in e["alt"] for e in page.all("img"))
    assert "runs/<base>/report.json" in page.all("dl")[0]["text"]


def test_the_order_of_the_page_and_its_sources(page):
    names = "clean c c_extra c_released p fgsm r calibration cost".split()
    assert [e["id"] for e in page.all("section")] == names
    links = page.all("a")
    assert [e["href"] for e in links] == [f"#{name}" for name in names]
    assert links[3]["text"] == "Common corruptions, released"
    found = [
        (e["tag"], e.get("class", "").split(" ")[0])
        for e in page.elements
        if e["section"] == "c_released"
    ]
    kinds = "h2. p.origin table.figures table.values figure.bars div.examples"
    kinds = [tuple(k.split(".")) for k in (kinds + " div.notes").split()]
    order = [found.index(kind) for kind in kinds]
    assert order == sorted(order)
    sources = {"c": "generated", "clean": "original", "r": "released"}
    for name, source in {**sources, "c_released": "released"}.items():
        tags = [e["text"] for e in page.all("span", "tag", name)]
        assert tags == [source]


def test_headlines_are_figures(page, report):
    cards = [
        e["text"] for e in page.all("li") if e["in"][-2:] == ["main", "ul"]
    ]
    assert len(cards) == 11
    for title, key, n in (
        ("Clean accuracy", "clean/accuracy", "200 images"),
        ("Corruption accuracy", "c/mean_accuracy", "200 images per cell"),
        ("mFP", "p/mfp", "200 sequences per cell"),
        ("FGSM accuracy", "fgsm/accuracy[linf <1>]", "lowest of 2: linf <1>"),
        ("ECE, clean", "calibration/clean_ece", "200 images"),
        ("mCE", "c/mce", "200 images per cell"),
    ):
        (card, *_) = [c for c in cards if c.startswith(title) and n in c]
        value = report.figures[key] * (1 if title == "mCE" else 100)
        assert f"{title}{value:.2f} %" in card


def test_all_figures_tables_and_notes_are_there(page, report):
    for section in report.sections:
        rows = page.rows(section.name, "figures")
        assert rows == [[f.label, f.text] for f in section.figures]
        items = page.all("li", section=section.name)
        notes = [e["text"] for e in items if "ol" not in e["in"]]
        assert notes == list(section.notes)
        (origin,) = page.all("p", "origin", section.name)
        assert origin["text"] == f"{section.origin}."
        if section.table and section.table.heat:
            fields = [
                (e["text"], e["style"])
                for e in page.all("td", section=section.name)
                if "style" in e
            ]
            table = section.table
            names = [n for group in table.groups.values() for n in group]
            shares = [v for n in names for v in table.rows[n][: table.heat]]
            assert fields == [
                (f"{100 * share:.2f}", heat.style(share)) for share in shares
            ]
    heads, *rows = page.rows("c", "values")
    assert heads == ["corruption", "1", "2", "3", "4", "5", "mean", "CE"]
    (fog,) = (row for row in rows if row[0] == "fog")
    accuracy = [100 * (0.9 - 0.03 * 9 - 0.05 * s) for s in range(1, 6)]
    mean = np.mean(accuracy)
    expected = [*accuracy, mean, 100 * (100 - mean) / 50]
    assert fog[1:] == [f"{value:.2f}" for value in expected]


def test_who_does_not_see_is_told(page):
    """The values of charts, and what tables' cells and pictures are."""
    drawings = page.all("svg")
    assert {e["role"] for e in drawings} == {"img"}
    words = [e["aria-label"] for e in drawings]
    (flips,) = [w for w in words if w.startswith("Flip probability")]
    # 0.01 * sqrt(200 / 199) / sqrt(200).
    error = 100 * 0.01 / np.sqrt(199)
    assert f"tilt 4.00 % ± {error:.2f} % (runs/<base>/report.json" in flips
    (bars,) = [w for w in words if "fog 48.00 % (runs/<base>" in w]
    assert bars.startswith("Accuracy by corruption")
    assert any("expected calibration error 2.50 %" in w for w in words)
    scopes = {e["scope"] for e in page.all("th")}
    assert scopes == {"row", "col", "rowgroup"}
    images = page.all("img", section="fgsm")
    tiles = [e for e in page.all("li", section="fgsm") if "ol" in e["in"]]
    assert len(images) == len(tiles) == 12
    for image, tile in zip(images, tiles):
        mark = tile["class"]
        assert tile["text"].startswith({"right": "✓", "wrong": "✗"}[mark])
        assert image["alt"].endswith(f", {mark}")
    assert {tile["class"] for tile in tiles} == {"right", "wrong"}


def test_pictures_are_of_the_right_sections(page):
    strips = {}
    for e in page.all("figcaption"):
        if "ol" not in e["in"] and e["in"][-1] == "figure":
            strips.setdefault(e["section"], []).append(e["text"])
    common = [n.replace("_", " ") for n in corruptions.names("common")]
    # The first caption of some sections is that of their bars.
    assert strips["clean"] == ["as they are"]
    assert strips["c"][1:] == [f"{name}, severity 3" for name in common]
    assert strips["c_extra"][1:] == ["saturate, severity 3"]
    assert strips["c_released"][1:] == ["fog, severity 3"]
    assert strips["fgsm"] == ["linf eps=4/255", "linf <1>"]
    assert strips["r"] == ["shifted 3 classes", "clean 3 classes"]
    assert all("in 31 frames" in words for words in strips["p"][1:])
    count = {name: len(page.all("img", section=name)) for name in strips}
    assert (count["clean"], count["c"], count["p"]) == (6, 90, 60)


def test_pictures_of_another_model_are_not_shown(tmp_path):
    ours, others = clean_cell(), clean_cell(model="another")
    report = Report({ours: sums(0.5)})
    bare = Page(html(report, "/does/not/exist"))
    assert not bare.all("img") and len(bare.all("section")) == 2
    fill(tmp_path, [others])
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


# --- looks -------------------------------------------------------------------


def colours_of(scheme):
    blocks = re.findall(r":root \{(.*?)\}", style.STYLE, re.DOTALL)
    return dict(re.findall(r"--(\w+): (#\w+);", blocks[scheme == "dark"]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_marks_can_be_seen(scheme):
    """WCAG 2: 4.5 to 1 for text, 3 to 1 for the parts of charts."""
    colours = colours_of(scheme)
    for name, ground, least in (
        *((name, "paper", 4.5) for name in ("ink", "soft", "right", "wrong")),
        *((name, "panel", 4.5) for name in ("ink", "soft")),
        *((name, "paper", 3) for name in ("ours", "gap")),
    ):
        assert contrast(colours[name], colours[ground]) >= least, name


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """Opens a page without a window."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("no chromium or chrome on the PATH")
    profile = tmp_path_factory.mktemp("profile")
    flags = (
        "headless no-sandbox disable-gpu disable-quic disable-sync "
        "disable-background-networking disable-component-update no-first-run "
        f"hide-scrollbars force-color-profile=srgb user-data-dir={profile}"
    )

    def call(path, *options):
        done = subprocess.run(
            [browser, *(f"--{flag}" for flag in flags.split())]
            + [*options, path.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


_MEASURE = """
onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument;
    const width = page.scrollingElement.scrollWidth;
    const inside = [...page.querySelectorAll(
      "h1, h2, h3, p, li, dd, figure, table.figures")].filter(
      e => !e.closest("ol")).map(
      e => e.getBoundingClientRect().right);
    return [width, Math.max(...inside), page.images.length,
            [...page.images].every(e => e.naturalWidth > 0)].join(" ");
  });
  document.getElementById("found").textContent = found.join(";");
};
"""


@pytest.mark.slow
def test_nothing_is_wider_than_the_screen(browse, text, tmp_path):
    """A telephone, a tablet and a desk; frames have the width of a screen."""
    widths = (390, 768, 1280)
    frames = "".join(
        f'<iframe style="width:{width}px;height:800px;border:0" '
        f'srcdoc="{html_lib.escape(text)}"></iframe>'
        for width in widths
    )
    path = tmp_path / "frames.html"
    path.write_text(
        "<!doctype html><meta charset=utf-8>"
        f"{frames}<pre id=found></pre><script>{_MEASURE}</script>"
    )
    seen = browse(path, "--dump-dom")
    found = re.search('<pre id="found">(.*?)</pre>', seen).group(1).split(";")
    for width, line in zip(widths, found, strict=True):
        scroll, right, images, whole = line.split()
        assert int(scroll) <= width and float(right) <= width, line
        assert (int(images), whole) == (text.count("<img"), "true")


@pytest.mark.slow
def test_a_browser_shows_heat_map_bars_and_pictures(
    browse, page, folder, tmp_path
):
    path = tmp_path / "page.png"
    options = "--window-size=1280,6000", f"--screenshot={path}"
    browse(folder / "report.html", *options)
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape == (6000, 1280, 3)
    codes = pixels @ [1 << 16, 1 << 8, 1]
    # A field of the heat map is some 50 by 30.
    wanted = [heat.colour(share) for share in (0.85, 0.82, 1.0, 0.25)]
    light = colours_of("light")
    wanted += [light[name] for name in ("ours", "theirs", "wrong", "soft")]
    for colour in wanted:
        assert (codes == int(colour[1:], 16)).sum() > 500, colour
    # The first picture, where it is: every pixel of it is there.
    source = page.all("img", section="clean")[0]["src"]
    wanted = np.unique(decoded(source).reshape(-1, 3).astype(int), axis=0)
    present = np.isin(wanted @ [1 << 16, 1 << 8, 1], codes)
    assert present.mean() > 0.95
    # Paper at the edges, much ink within.
    assert (codes[:, :60] == 0xFFFFFF).all()
    assert 0.1 < (codes[:, 100:1180] != 0xFFFFFF).mean() < 0.8
