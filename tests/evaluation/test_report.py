"""Reports: out of whose cells, what is refused, what is told and shown."""

import dataclasses
import itertools
import json
import re

import numpy as np
import pytest

from noisymix_tf.evaluation import Reference, Report, gallery
from noisymix_tf.evaluation.page import heat
from noisymix_tf.evaluation.sections import Figure, show
from support import report_page as toys
from support.report_page import cell, scores
from support.usage import assert_usage_error

FLAT = toys.suite_c(dict.fromkeys(("gaussian_noise", "fog"), (0.6,) * 5))
CLEAN = {cell("clean", source="original"): scores(0.9)}
NAME = "runs/<base>/report.json"
HALF = dict.fromkeys(toys.COMMON, (0.5,) * 5)


def test_digits_follow_the_uncertainty():
    """20 images do not give "30.00 %"."""
    for n, value in ((20, "30"), (200, "30.0"), (20_000, "30.00")):
        figure = Figure("a", "a", scores(0.3, n).accuracy)
        found = show(figure.value, "percent", False, figure.error)
        found, _, error = found.partition(" ± ")
        wanted = 100 * np.sqrt(0.3 * 0.7 / n)
        assert found == value and float(error) == pytest.approx(wanted, rel=0.2)
    for wanted, value, *more in (
        # The first digit of an error, and its second where they are below 36.
        ("50.00 ± 0.35 %", 0.5, "percent", True, 0.0035),
        ("50.0 ± 0.4 %", 0.5, "percent", True, 0.0036),
        ("100 %", 1.0, "percent", True, 0.0),
        ("30.00 %", 0.3, "percent"),
        ("30", 0.3, "percent", False, None, 1 / 20),
        ("–", None, "percent"),
    ):
        assert show(value, *more) == wanted


def test_suites_make_sections_in_their_order_from_the_cells_they_are_of():
    # Whatever the order of the cells.
    made = dict(reversed(toys.invented().items()))
    report = Report(made, costs={"forward_seconds": 2})
    names = "clean c_released c p fgsm calibration cost".split()
    assert [s.name for s in report.sections] == names
    figures = report.figures
    assert figures["fgsm/accuracy[linf eps=4/255]"] == 0.2
    assert figures["cost/forward_seconds"] == 2
    assert figures["calibration/c_released_mean_ece"] == pytest.approx(0.7)
    keys = [figure.name for _, _, figure in report.headlines]
    wanted = "accuracy mean_accuracy mean_accuracy mfp accuracy"
    assert " ".join(keys) == f"{wanted} c_released_mean_ece clean_ece"
    shown = {g: [f.value for f in own] for g, own in report.overview.items()}
    names = "clean/weather, released/noise/blur/weather/digital/FGSM"
    assert [*shown] == names.split("/")
    assert (shown["clean"], shown["FGSM"]) == ([0.925], [0.2, 0.1])
    noise = 0.9 - 0.03 * 1 - 0.05 * np.arange(1, 6)
    assert shown["noise"] == pytest.approx(noise)


def test_json_has_all_numbers_and_words_say_what_their_errors_are(tmp_path):
    report = Report(FLAT | CLEAN, about={"model": "runs/one"})
    for text in (report.text(), report.markdown()):
        assert text.count("standard error over images") == 1
        line = next(x for x in text.splitlines() if "gaussian_noise" in x)
        assert line.replace("|", " ").split()[1:] == ["60"] * 6
        for told in ("200 images per cell, generated", "runs/one"):
            assert told in text and "Note: means are over 2 of" in text
    head, _, line, *_ = report.summary().splitlines()
    assert head == 'toy "<&>", model runs/one (abc), gives logits'
    assert line.startswith("  Clean accuracy, 200 images  ")
    assert " 90.0 ± " in line
    report.write(tmp_path)
    paths = sorted(path.name for path in tmp_path.iterdir())
    assert paths == ["report.html", "report.json", "report.md"]
    content = json.loads((tmp_path / "report.json").read_text())
    assert content == json.loads(json.dumps(report.as_dict()))
    sections = content.pop("sections")
    wanted = {"schema": 3, "dataset": 'toy "<&>"', "data": "0f", "model": "abc"}
    wanted |= {"about": {"model": "runs/one"}, "outputs": "logits"}
    assert content == wanted | {"reference": None, "num_classes": None}
    errors, c = sections["clean"]["standard_errors"], sections["c"]
    assert "largest_class" not in errors  # A share alone has none.
    assert errors["error"] == pytest.approx(np.sqrt(0.09 / 200), rel=0.2)
    assert c.pop("cells")["fog"]["3"]["accuracy"] == 0.6
    assert c["kinds"]["mean_accuracy"] == "percent"
    keys = [c.pop(n).keys() for n in ("figures", "kinds", "standard_errors")]
    assert keys[0] == keys[1] == keys[2]
    about = {"title": "Common corruptions", "label": "C", "suite": "c"}
    about |= {"n": 200, "source": "generated", "origin": c["origin"]}
    about |= {"notes": c["caveats"], "images": ["0f"]}
    assert c == about | {"caveats": c["caveats"]}
    assert "over 2 of the benchmark's 15" in c["caveats"][0]


def test_what_is_said_in_a_sentence_is_what_can_be_told():
    for blur, weather, end in (
        (0.8, 0.6, "; weather is worst."),
        (0.605, 0.6, "; blur and weather are worst."),
        (0.8, 0.8, "."),
    ):
        rows = {"contrast": 0.8, "defocus_blur": blur, "fog": weather}
        made = CLEAN | toys.suite_c({name: [a] * 5 for name, a in rows.items()})
        said = Report(made).verdict
        lost = 90 - 100 * sum(rows.values()) / 3
        assert said.startswith("Clean accuracy is 90.0 ± ")
        assert f" %, under corruption {lost:.1f} ± " in said
        assert said.endswith(f" points less{end}")
    same = Report(CLEAN | toys.suite_c({"fog": [0.9, 0.895]})).verdict
    assert same.endswith(" points less (not told apart).")
    few = {cell("clean", source="original", n=20): scores(0.3, 20)}
    chance = "Clean accuracy is 30 ± 10 %, which cannot be told from chance."
    assert Report(few).verdict == chance
    # That of the clean images, whatever was measured before.
    worse = scores(0.3, 20)
    worse.rows["label"] = 0
    first = {cell("fgsm", setting="x", n=20): worse}
    assert Report(first | few).chance == 0.25
    assert Report(toys.suite_c({"fog": [0.5]})).verdict.startswith("Corruption")


def test_mixtures_are_refused():
    for field in ("dataset", "model", "data"):
        more = {dataclasses.replace(c, **{field: "x"}): FLAT[c] for c in FLAT}
        words = f"about one {field}", "x"
        assert_usage_error(lambda own=more: Report(CLEAN | own), *words)
    assert_usage_error(lambda: Report({}), "no evaluation cells")
    strange = {cell("strange"): scores(0.9)}
    assert_usage_error(lambda: Report(strange), "Unknown suite 'strange'")
    # Released files are each their own data, and images of other groups.
    (art := scores(0.5)).group = "art"
    other = {cell("fgsm", setting="x", data="z"): art}
    assert Report(CLEAN | other).data == "0f"
    files = toys.suite_c({"fog": [0.5] * 5}, source="released")
    each = [dataclasses.replace(c, data=str(c.severity)) for c in files]
    assert Report(dict(zip(each, files.values()))).data is None


@pytest.fixture
def written(tmp_path):
    toys.fill(tmp_path, toys.invented())
    about = {"model": "runs/<one>", "data": "digits in /photos"}
    given = Reference(NAME, errors={"*": HALF}), about, {"seconds": 1}
    report = Report(toys.invented(), *given)
    return report, report.html(tmp_path)


def test_the_page_is_whole_by_itself_and_says_what_the_report_says(written):
    report, text = written
    page = toys.Page(text)
    assert text.startswith("<!doctype html>") and len(text) < 3e6
    assert not re.search(r"://|@import|url\(|<b>dog|<base>|<one>|{[{%]", text)
    tags = {e["tag"] for e in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}
    for e in page.elements:
        assert e.get("src", "data:image/").startswith("data:image/")
        assert e.get("href", "#").startswith("#")
        assert not [name for name in e if name.startswith("on")]
    # The head: who, what, when, and one sentence.
    assert page.texts("h1") == ['Robustness on toy "<&>"']
    (said,) = page.texts("p", "verdict")
    assert re.fullmatch(r"Clean .* corruption 38.5 .*; digital is worst.", said)
    facts = dict(zip(page.texts("dt"), page.texts("dd")))
    wanted = {"Model": "runs/<one>", "Data": "digits in /photos"}
    wanted |= {"Reference": NAME, "Fingerprint": "abc, gives logits"}
    wanted |= {"Chance": "25.0 %, always the largest class"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", facts.pop("Written"))
    assert facts == wanted
    assert text.count("standard error over images") == 1
    # Headlines and sections are figures, tables and notes.
    cards = [e for e in page.all("li") if e["in"][-2:] == ["main", "ul"]]
    for card, headline in zip(cards, report.headlines, strict=True):
        section, title, figure = headline
        told = section.shown(figure), section.counted
        # Only of benchmarks the source says something.
        source = section.source if section.suite in ("c", "p") else ""
        assert card["text"] == f"{title}{' '.join(told)}{source}"
    names = [section.name for section in report.sections]
    assert [e["id"] for e in page.all("section")] == names
    assert [e["href"] for e in page.all("a")] == [f"#{n}" for n in names]
    for section in report.sections:
        rows = [[f.label, section.shown(f)] for f in section.figures]
        assert page.rows(section.name, "figures") == rows
        items = page.all("li", section=section.name)
        notes = [e["text"] for e in items if "ol" not in e["in"]]
        assert notes == list(section.notes)
    styles = {e["text"]: e.get("style") for e in page.all("td", section="c")}
    assert (styles["58"], styles["104"]) == (heat(0.58), None)
    heads, *rows = page.rows("c", "values")
    assert heads == "corruption 1 2 3 4 5 mean CE".split()
    # 0.9 - 0.03 * 9 - 0.05 * severity.
    assert "fog 58 53 48 43 38 48.0 104".split() in rows
    assert " 48.0  104\n" in report.text()
    # Headings stand where there are several families.
    assert ["noise"] in rows and len(page.rows("c_released", "values")) == 2


def test_charts_are_shown_and_pictures_on_demand(written, tmp_path):
    page = toys.Page(written[1])
    told = "\n".join(e["title"] for e in page.all("div", "bar", "c"))
    assert re.search(rf"this model: 48.0 ± 3.\d %\n{NAME}: 50.0 %", told)
    assert len(page.all("svg", section="calibration")) == 3
    assert not [e for e in page.all("details") if "open" in e]
    assert all("details" in e["in"] for e in page.all("img"))
    assert any(toys.NAMES[1] in e["alt"] for e in page.all("img"))
    images = page.all("img", section="fgsm")
    tiles = [e for e in page.all("li", section="fgsm") if "ol" in e["in"]]
    for image, tile in zip(images, tiles, strict=True):
        mark = {"✓": "right", "✗": "wrong"}[tile["text"][0]]
        assert tile["class"] == mark and image["alt"].endswith(f", {mark}")
    assert {tile["class"] for tile in tiles} == {"right", "wrong"}
    for name, count, *captions in (
        ("clean", 6, "as they are"),
        ("c", 90, *(f"{n.replace('_', ' ')}, severity 3" for n in toys.COMMON)),
        ("c_released", 6, "fog, severity 3"),
        ("fgsm", 12, "linf eps=4/255", "linf <1>"),
        ("calibration", 0),
    ):
        assert page.texts("figcaption", None, name) == captions
        assert len(page.all("img", section=name)) == count
    (film,) = page.texts("figcaption", None, "p")
    (tilt,) = (c for c in written[0].scores if c.suite == "p")
    names = gallery.read(tmp_path, tilt)["frames"]
    changes = sum(a != b for a, b in itertools.pairwise(names))
    assert film == f"tilt, {toys.NAMES[1]}: {changes} changes in 31 frames"
    marks = page.all("i", section="p")
    marks = [e for e in marks if "frame" in e.get("title", "")]
    assert [e["title"].partition(": ")[2] for e in marks] == names
    wanted = [("other", "same")[name == names[0]] for name in names]
    assert [e["class"] for e in marks] == wanted
    # Those of the files are not those that were generated.
    own, files = (page.all("img", section=s) for s in ("c", "c_released"))
    fog = 6 * toys.COMMON.index("fog")
    assert any(a["alt"] != b["alt"] for a, b in zip(files, own[fog:]))


def test_severity_3_or_the_nearest_is_shown_and_only_of_this_model(tmp_path):
    fogs = [cell("c", "fog", s) for s in (1, 4, 5)]
    other = [cell("c", "saturate", s) for s in (1, 4, 5)]
    rows = dict.fromkeys((*fogs, *other), scores(0.5))
    toys.fill(tmp_path, other[:1])
    for fog, severity in zip(fogs, "144"):
        toys.fill(tmp_path, [fog])
        page = toys.Page(Report(rows).html(tmp_path))
        shown = [f"fog, severity {severity}"]
        assert page.texts("figcaption", None, "c") == shown
    other = toys.suite_c({"fog": [0.5] * 5}, model="another")
    assert "<img" not in Report(other).html(tmp_path)
