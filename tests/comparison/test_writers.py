"""A comparison in every form: the same numbers, the best and the published."""

import csv as csv_module
import json as json_module
import re

import pytest

from noisymix_tf.comparison.writers.csv import csv
from noisymix_tf.comparison.writers.html import html
from noisymix_tf.comparison.writers.json import json
from noisymix_tf.comparison.writers.latex import escape, latex
from noisymix_tf.comparison.writers.markdown import markdown
from support import comparison_runs as made
from support.report_page import Page

ODD = "my_<b>method</b> & 100 %"
HEAD = ["", "Clean", "C", "C without noise", "FGSM 4/255"]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Not all methods have been attacked."""
    folder = tmp_path_factory.mktemp("runs")
    for method, base in (("baseline", 0.6), ("noisymix", 0.7), (ODD, 0.65)):
        more = {} if method == ODD else {"fgsm": {made.FGSM: base - 0.4}}
        more["c"] = made.accuracies(base)
        for seed in (0, 1):
            config = made.flags(method, seed, dataset="cifar10")
            clean = base + 0.1 + 0.02 * seed
            place = folder / f"{base}" / f"{seed}"
            made.write(place, config, clean=clean, **more)
    return made.build(folder)


def test_markdown(built):
    text = markdown(built)
    assert text.startswith("# cifar10, resnet20 x 0.5, 3 epochs, batches of 64")
    lines = [x for x in text.split("\n") if x.startswith("| ")]
    cells = [[c.strip() for c in x.strip("|").split("|")] for x in lines]
    head, *rows = [row for row in cells if not row[1].startswith("-")]
    assert head == HEAD
    assert rows[0][:2] == ["Baseline", "71.0 ± 1.4"]
    assert rows[1][:2] == ["NoisyMix", "**81.0 ± 1.4**"]
    # Its name's own signs stay; it was not attacked.
    assert rows[2][0].startswith("my <b>method") and rows[2][-1] == "–"
    named = "published: NoisyMix (WRN-28-4, RobustBench)"
    assert [named, "96.7"] in [row[:2] for row in rows]
    # Columns are straight on a terminal, too.
    assert len({len(x) for x in text.split("\n\n")[1].split("\n")}) == 1
    assert all(f"- {note}" in text for note in built.notes)


def test_csv(built):
    lines = list(csv_module.DictReader(csv(built).splitlines()))
    rows = [(line["method"], line["runs"]) for line in lines[:3]]
    assert rows == [("baseline", "2"), ("noisymix", "2"), (ODD, "2")]
    assert float(lines[0]["clean"]) == pytest.approx(71.0)
    assert float(lines[0]["clean_sd"]) == pytest.approx(2**0.5)
    assert lines[2][f"fgsm[{made.FGSM}]"] == ""
    last, key = lines[-1], "c[published]"
    assert (last["published"], last["runs"]) == ("RobustBench", "")
    assert (last[key], last[f"{key}_sd"]) == ("92.78", "")


def test_json(built):
    content = json_module.loads(json(built))
    assert content["schema"] == 1
    row, last = content["rows"][1], content["rows"][-1]
    assert row["title"] == "NoisyMix"
    assert (row["published"], last["published"]) == (None, "RobustBench")
    assert [path[-6:] for path in row["runs"]] == ["/0.7/0", "/0.7/1"]
    assert row["cells"]["clean"]["values"] == pytest.approx([80.0, 82.0])
    assert row["cells"]["clean"]["standard_error"] == pytest.approx(1.0)
    columns = {column["key"]: column for column in content["columns"]}
    assert columns["c_mce"]["divided_by"] == "Baseline"
    assert not columns["c_mce"]["higher_is_better"]


def test_latex(built):
    text = latex(built)
    parts = re.findall(r"\\begin{table}(.*?)\\end{table}\n", text, re.DOTALL)
    assert len(parts) == 2
    main = parts[0]
    assert r"\begin{tabular}{lrrrr}" in main
    lines = [x for x in main.split("\n") if x.endswith(r"\\")]
    body = [x for x in lines if not x.startswith(r"\multicolumn")]
    assert {x.count(" & ") for x in body} == {4}
    assert r"NoisyMix & \textbf{81.0 $\pm$ 1.4}" in main
    assert main.index("Published") < main.index("NoisyMix (WRN-28-4")
    assert r"<b>method</b> \& 100 \%" in main
    # No sign of LaTeX's own is left bare, but for the notes as comments.
    code = "\n".join(x for x in text.split("\n") if not x.startswith("%"))
    assert not re.search(r"(?<!\\)[%#_]", code)
    assert escape("x_$^\\") == r"x\_\$\textasciicircum{}\textbackslash{}"


def test_html(built):
    text = html(built)
    page = Page(text)
    assert "://" not in text and not page.all("script")
    head, *rows = page.rows("table", "comparison")
    assert head == HEAD
    assert rows[1][:2] == ["NoisyMix", "81.0 ± 1.4"]
    assert rows[2][0] == "my <b>method</b> & 100 %" and rows[2][-1] == "–"
    assert rows[3] == ["Published: RobustBench"]
    assert len(page.all("tr", "published", "table")) == 4
    best = [e["text"] for e in page.all("td", "best", "table")]
    assert len(best) == 4 and best[0] == "81.0 ± 1.4"
    # A chart for each column, with all values in words.
    words = [chart["aria-label"] for chart in page.all("svg", section="table")]
    assert "± 1.41 % (published (RobustBench): 96.73 %)" in words[0]
    # Those of released files are not beside generated images.
    assert len(words) == 4 and "published" not in words[1]
    bars = page.all("figure", "bars", "table")
    assert "standard deviation" in bars[0]["text"]
    # Of errors the lowest is the best.
    (mce,) = (column for column in built.columns if column.key == "c_mce")
    best = page.all("td", "best", "further")[0]["text"]
    assert best == built.rows[1].text(mce)
    assert {e["text"] for e in page.all("li")} == set(built.notes)
