"""The page of a report in a browser, and its colours."""

import html as html_lib
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from noisymix_tf.evaluation.charts import heat
from noisymix_tf.evaluation.report import Report
from noisymix_tf.evaluation.writers import style
from support.report_page import (
    REFERENCE,
    Page,
    contrast,
    decoded,
    fill,
    invented,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluation")
    fill(folder, invented())
    Report(invented(), reference=REFERENCE).write(folder)
    return folder


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "report.html").read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_and_marks_can_be_seen(scheme):
    """WCAG 2: 4.5 to 1 for text, 3 to 1 for the parts of charts."""
    blocks = re.findall(r":root \{(.*?)\}", style.STYLE, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w+);", blocks[scheme == "dark"]))
    for name in ("ink", "soft", "right", "wrong"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("ink", "soft"):
        assert contrast(colours[name], colours["panel"]) >= 4.5, name
    for name in ("ours", "gap", "soft"):
        assert contrast(colours[name], colours["paper"]) >= 3, name


def _browser():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


needs_browser = pytest.mark.skipif(
    _browser() is None, reason="no chromium or chrome on the PATH"
)


def _browse(path, profile, *options):
    done = subprocess.run(
        [
            _browser(),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-sync",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            f"--user-data-dir={profile}",
            *options,
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


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


@needs_browser
def test_nothing_is_wider_than_the_screen(text, tmp_path):
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
    seen = _browse(path, tmp_path / "profile", "--dump-dom")
    found = re.search('<pre id="found">(.*?)</pre>', seen).group(1).split(";")
    assert len(found) == len(widths)
    for width, line in zip(widths, found):
        scroll, right, images, whole = line.split()
        assert int(scroll) <= width, line
        assert float(right) <= width, line
        assert (int(images), whole) == (text.count("<img"), "true")


@needs_browser
def test_a_browser_shows_heat_map_bars_and_pictures(text, folder, tmp_path):
    path = tmp_path / "page.png"
    _browse(
        folder / "report.html",
        tmp_path / "profile",
        "--window-size=1280,6000",
        f"--screenshot={path}",
    )
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape == (6000, 1280, 3)
    codes = pixels @ [1 << 16, 1 << 8, 1]
    # A field of the heat map is some 50 by 30.
    for share in (0.85, 0.82, 1.0, 0.25):
        colour = int(heat.colour(share)[1:], 16)
        assert (codes == colour).sum() > 500, share
    light = re.search(r":root \{(.*?)\}", style.STYLE, re.DOTALL).group(1)
    colours = dict(re.findall(r"--(\w+): (#\w+);", light))
    for name in ("ours", "theirs", "wrong", "soft"):
        assert (codes == int(colours[name][1:], 16)).sum() > 500, name
    # The first picture, where it is: every pixel of it is there.
    source = Page(text).all("img", section="clean")[0]["src"]
    wanted = np.unique(decoded(source).reshape(-1, 3).astype(int), axis=0)
    present = np.isin(wanted @ [1 << 16, 1 << 8, 1], codes)
    assert present.mean() > 0.95
    # Paper at the edges, much ink within.
    assert (codes[:, :60] == 0xFFFFFF).all()
    assert 0.1 < (codes[:, 100:1180] != 0xFFFFFF).mean() < 0.8
