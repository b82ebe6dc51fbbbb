"""A comparison in every form: the same numbers, the best and the published."""

import csv
import json
import re

import pytest

from noisymix_tf.comparison import writers
from support import comparison_runs as made
from support.report_page import Page

ODD, KEY = "my_<b>method</b> & 100 %", "clean/accuracy"


def test_every_form_has_the_same_numbers_the_best_and_the_published(tmp_path):
    folder = tmp_path / "runs"
    for method, base in (("baseline", 0.6), ("noisymix", 0.7), (ODD, 0.65)):
        more = {} if method == ODD else {"fgsm": {made.FGSM: base - 0.4}}
        more |= {"c": made.accuracies(base), "about": {"dataset": "cifar10"}}
        for seed in (0, 1):
            config = made.flags(method, seed, dataset="cifar10")
            more["clean"] = base + 0.1 + 0.02 * seed
            run = made.write(folder / f"{base} #/{seed}", config, **more)
            (run / "evaluation/report.html").write_text("a page")
    built = made.build(folder)
    best = built.rows[1].text(built.columns[0])
    (tmp_path / "table").mkdir()
    paths = writers.write(tmp_path / "table", built)
    texts = {path.suffix[1:]: path.read_text() for path in paths}
    lines = list(csv.DictReader(texts["csv"].splitlines()))
    assert [x["method"] for x in lines[:3]] == ["baseline", "noisymix", ODD]
    names = ("mean", "standard_deviation", "difference")
    own = [float(lines[0][f"{KEY} {name}"]) for name in names]
    assert own == pytest.approx([71.0, 2**0.5, -10.0])
    assert len(lines[0]) == 4 + 8 * len(built.columns)
    keys = ("source", "runs", f"{KEY} mean", "c/mean_accuracy mean")
    assert [lines[-1][key] for key in keys] == ["RobustBench", "0", "96.73", ""]
    content = json.loads(texts["json"])
    worse, cell = (row["cells"][KEY] for row in content["rows"][:2])
    assert content["rows"][1]["runs"][1].endswith("/0.7 #/1")
    assert cell["values"] == pytest.approx([80.0, 82.0])
    assert cell["is_leader"] and cell["difference"] is None
    assert worse["is_paired"] and not worse["is_leader"]
    assert worse["low"] < -10.0 < worse["high"] < 0.0
    assert worse["standard_error"] == built.rows[0].cells[KEY].standard_error
    (mce,) = (c for c in content["columns"] if c["key"] == "c/mce")
    words = "mean corruption error, per cent of the baseline, lower is better"
    assert mce["quantity"] == words
    title, verdict, table, heading, more, *_ = texts["md"].split("\n\n")
    told = "On clean images and on common corruptions (C) NoisyMix leads."
    assert verdict == built.verdict == told
    assert title == "# cifar10, resnet20 x 0.5, 3 epochs, batches of 64"
    (head, _, *rows), (_, _, *gaps) = (
        [[c.strip() for c in x.split("|")[1:-1]] for x in part.split("\n")]
        for part in (table, more)
    )
    assert head == ["", "Clean", "C", "C without noise", f"FGSM {made.FGSM}"]
    assert rows[1][:2] == ["NoisyMix", f"**{best}**"]
    assert best.startswith("81.0 ± ") and rows[2][-1] == "–"
    named = "published: NoisyMix (WRN-28-4, RobustBench)"
    assert [named, "96.7"] in [row[:2] for row in rows]
    assert heading == "## Difference to the best"
    assert gaps[0][1].startswith("−10.0 [−") and gaps[1][1] == "–"
    notes = writers.notes(built)
    assert all(f"- {note}\n" in texts["md"] for note in notes)
    assert any(n.startswith("C: Common corruptions; 200 im") for n in notes)
    main = texts["tex"].split(r"\end{table}")[0]
    assert r"NoisyMix & \textbf{81.0 $\pm$ " in main
    assert r"<b>method</b> \& 100 \%" in main
    # No sign of LaTeX's own is left bare, but for the notes as comments.
    assert not re.search(r"(?<!\\)[%#_]", re.sub("(?m)^%.*", "", texts["tex"]))
    page = Page(text := texts["html"])
    assert "://" not in text and not page.all("script")
    _, *rows = page.rows("table", "comparison")
    wanted = ["NoisyMix seeds 0 1", best]
    assert rows[1][:2] == wanted and "−10.0 [−" in rows[0][1]
    assert rows[2][0].startswith("my <b>method</b> & 100 %")
    assert page.all("td", "leader", "table")[0]["text"] == best
    links = [e["href"] for e in page.all("a", section="table")]
    assert page.texts("a", None, "table") == ["0", "1"] * 3
    assert links[5] == "../runs/0.65%20%23/1/evaluation/report.html"
    # Those of released files are not beside generated images.
    told = [e["title"] for e in page.all("div", "panel")[:6]]
    published = [words for words in told if "published" in words]
    named = [words.partition(",")[0] for words in published]
    assert named == ["NoisyMix", "Baseline"]
    assert f"{best}, published 96.7" in published[0]
    # The line is at the best, an interval that of the difference to it.
    plot = writers.plots(built)["opening"]
    assert [*plot.rows] == [built.rows[k].title for k in (1, 2, 0)]
    own, _ = plot.rows["Baseline"]
    ends = [81.0 + worse["low"], 81.0 + worse["high"]]
    assert [own.line, *own.ends] == pytest.approx([81.0, *ends])
    assert [kind for kind, _ in own.marks] == ["theirs", "mean"]
    assert [plot.place(plot.ticks[k]) for k in (0, -1)] == [0.0, 100.0]
    assert {e["text"] for e in page.all("li")} == set(writers.notes(built))
