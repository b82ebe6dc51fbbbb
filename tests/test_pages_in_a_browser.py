"""The pages in a browser: nothing is cut, covers another thing, or is faint."""

import html
import json
import shutil
import subprocess

import pytest

from noisymix_tf.comparison import writers
from noisymix_tf.evaluation import Reference, Report
from support import comparison_runs, report_page

BROWSERS = "chromium", "chromium-browser", "google-chrome"
FOUND = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOUND, reason=f"none of {', '.join(BROWSERS)}"),
]
# A page of A4 between the margins of a printer is 718 pixels wide.
WIDTHS = 390, 718, 800, 1280
# Finds the faults of a page, by what each of them is.
SCRIPT = r"""
const brush = document.createElement("canvas").getContext("2d");
function light(colour, below) {
  for (const c of [below, colour]) {
    brush.fillStyle = c;
    brush.fillRect(0, 0, 1, 1);
  }
  const linear = [...brush.getImageData(0, 0, 1, 1).data].map(v => v / 255)
    .map(v => v > 0.04 ? ((v + 0.055) / 1.055) ** 2.4 : v / 12.92);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05;
}
function contrast(colour, below) {
  const [a, b] = [light(colour, below), light(below, below)];
  return Math.max(a, b) / Math.min(a, b);
}
function paper(e) {
  while (e && /, 0\)$/.test(getComputedStyle(e).backgroundColor))
    e = e.parentElement;
  return getComputedStyle(e).backgroundColor;
}
function faults(page) {
  const root = page.documentElement, all = [...page.querySelectorAll("body *")];
  const found = [], box = page.createRange();
  const told = e => `${e.className} ${e.textContent.trim().slice(0, 40)}`;
  const add = (is, what, ...e) => is && found.push([what, ...e.map(told)]);
  all.forEach(e => e.open = true);
  add(root.scrollWidth > root.clientWidth, `${root.scrollWidth} wide`);
  const words = all.filter(e => e.getClientRects().length &&
    [...e.childNodes].some(n => n.nodeType == 3 && n.data.trim()));
  for (const e of words) {
    add(contrast(getComputedStyle(e).color, paper(e)) < 4.5, "faint", e);
    add(e.clientWidth && e.scrollWidth > e.clientWidth + 1, "cut", e);
  }
  const kinds = ".ours, .theirs, .mean, .count, .gap, .level, .line";
  for (const e of page.querySelectorAll(`i:is(${kinds})`)) {
    const of = getComputedStyle(e), below = paper(e.parentElement);
    const edge = of.borderTopWidth + of.borderLeftWidth == "0px0px";
    const colour = edge ? of.backgroundColor : of.borderLeftColor;
    add(contrast(colour, below) < 3, "faint mark", e);
  }
  for (const chart of page.querySelectorAll(".chart")) {
    const own = words.filter(e => chart.contains(e)).map(e => {
      box.selectNodeContents(e);
      return [box.getBoundingClientRect(), e];
    });
    own.forEach(([a, e], k) => own.slice(k + 1).forEach(([b, f]) => add(
      Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
      Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2,
      "covered", e, f)));
  }
  const named = ":is([alt]:not([alt='']), [aria-label], :has(figcaption))";
  for (const e of page.querySelectorAll(`:is(img, figure):not(${named})`))
    add(true, "no name", e);
  return found;
}
onload = () => document.body.textContent = JSON.stringify(
  [...document.querySelectorAll("iframe")].flatMap(f =>
    faults(f.contentDocument).map(own => [f.title, ...own])));
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Texts of reports of which much is known, or little; of a comparison."""
    folder = tmp_path_factory.mktemp("pages")
    half = dict.fromkeys(report_page.COMMON, (0.5,) * 5)
    cells = report_page.invented()
    report_page.fill(folder, cells)
    about = {"method": "noisymix", "seed": "0", "model": "runs/one/model.keras"}
    full = Report(cells, Reference("runs/base", errors={"*": half}), about)
    few = report_page.cell("clean", source="original", n=20)
    little = Report({few: report_page.scores(0.3, 20)})
    made = {"report": full.html(folder), "little": little.html(folder)}
    for number, method in enumerate(("baseline", "augmix", "noisymix")):
        base = 0.6 + 0.02 * number
        own = {"c": comparison_runs.accuracies(base), "p": {"tilt": 0.02}}
        own |= {"clean": base + 0.2, "fgsm": {comparison_runs.FGSM: 0.2}}
        for weight in (6.0, 12.0):
            config = comparison_runs.flags(method, alpha=weight)
            comparison_runs.write(folder / f"{method}{weight}", config, **own)
    built = comparison_runs.build(folder)
    return made | {"comparison": writers._html(built, folder)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_whole_and_readable(tmp_path, pages, scheme):
    frames = []
    for name, text in pages.items():
        printed = text.replace("@media print", "@media all")
        for width in WIDTHS:
            own = html.escape(printed if width == 718 else text)
            size = f'title="{name} {width}" width={width} height=900'
            frames.append(f'<iframe {size} srcdoc="{own}"></iframe>')
    path = tmp_path / "all.html"
    path.write_text(f"<script>{SCRIPT}</script>{''.join(frames)}")
    colours = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    flags = "--headless=new", "--no-sandbox", "--disable-gpu", colours
    own = f"--user-data-dir={tmp_path / 'own'}", "--dump-dom", path.as_uri()
    done = subprocess.run([FOUND, *flags, *own], capture_output=True, text=True)
    body = done.stdout.partition("<body>")[2].partition("</body>")[0]
    assert json.loads(html.unescape(body)) == []
