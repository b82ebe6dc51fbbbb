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
    folder = tmp_path_factory.mktemp("runs")
    for method, base in (("baseline", 0.6), ("noisymix", 0.7), (ODD, 0.65)):
        more = {} if method == ODD else {"fgsm": {made.FGSM: base - 0.4}}
        more["c"] = made.accuracies(base)
        for seed in (0, 1):
            config = made.flags(method, seed, dataset="cifar10")
            more["clean"] = base + 0.1 + 0.02 * seed
            made.write(folder / f"{base}/{seed}", config, **more)
    return made.build(folder)


def test_csv_and_json_hold_all_numbers(built):
    lines = list(csv_module.DictReader(csv(built).splitlines()))
    rows = [(line["method"], line["runs"]) for line in lines[:3]]
    assert rows == [("baseline", "2"), ("noisymix", "2"), (ODD, "2")]
    own = [float(lines[0][key]) for key in ("clean", "clean_sd")]
    assert own == pytest.approx([71.0, 2**0.5])
    assert lines[2][f"fgsm[{made.FGSM}]"] == ""
    keys = ("published", "runs", "c[published]", "c[published]_sd")
    assert [lines[-1][key] for key in keys] == ["RobustBench", "", "92.78", ""]
    content = json_module.loads(json(built))
    row, last = content["rows"][1], content["rows"][-1]
    assert (row["published"], last["published"]) == (None, "RobustBench")
    assert [path[-6:] for path in row["runs"]] == ["/0.7/0", "/0.7/1"]
    assert row["cells"]["clean"]["values"] == pytest.approx([80.0, 82.0])
    assert row["cells"]["clean"]["standard_error"] == pytest.approx(1.0)
    (mce,) = (c for c in content["columns"] if c["key"] == "c_mce")
    own = content["schema"], mce["divided_by"], mce["higher_is_better"]
    assert own == (1, "Baseline", False)


def test_markdown_latex_and_html(built):
    """The best, the published and what was not measured; signs are escaped."""
    text = markdown(built)
    assert text.startswith("# cifar10, resnet20 x 0.5, 3 epochs, batches of 64")
    lines = text.split("\n\n")[1].split("\n")
    assert len({len(x) for x in lines}) == 1
    head, _, *rows = [[c.strip() for c in x.split("|")[1:-1]] for x in lines]
    assert head == HEAD and rows[1][:2] == ["NoisyMix", "**81.0 ± 1.4**"]
    assert rows[2][0].startswith("my <b>method") and rows[2][-1] == "–"
    named = "published: NoisyMix (WRN-28-4, RobustBench)"
    assert [named, "96.7"] in [row[:2] for row in rows]
    assert all(f"- {note}" in text for note in built.notes)
    text = latex(built)
    main, _ = re.findall(r"\\begin{table}(.*?)\\end{table}", text, re.DOTALL)
    assert r"\begin{tabular}{lrrrr}" in main
    assert r"NoisyMix & \textbf{81.0 $\pm$ 1.4}" in main
    assert main.index("Published") < main.index("NoisyMix (WRN-28-4")
    assert r"<b>method</b> \& 100 \%" in main
    # No sign of LaTeX's own is left bare, but for the notes as comments.
    assert not re.search(r"(?<!\\)[%#_]", re.sub("(?m)^%.*", "", text))
    assert escape("x_$^\\") == r"x\_\$\textasciicircum{}\textbackslash{}"
    page = Page(text := html(built))
    assert "://" not in text and not page.all("script")
    head, *rows = page.rows("table", "comparison")
    assert head == HEAD and rows[1][:2] == ["NoisyMix", "81.0 ± 1.4"]
    assert rows[2][0] == "my <b>method</b> & 100 %" and rows[2][-1] == "–"
    assert page.all("td", "best", "table")[0]["text"] == "81.0 ± 1.4"
    words = [chart["aria-label"] for chart in page.all("svg", section="table")]
    assert "± 1.41 % (published (RobustBench): 96.73 %)" in words[0]
    # Those of released files are not beside generated images.
    assert len(words) == 4 and "published" not in words[1]
    assert {e["text"] for e in page.all("li")} == set(built.notes)
