"""What errors and flips are divided by: reports, constants, bad files."""

import functools
import json

import pytest

from noisymix_tf import evaluation
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support import evaluation_toys as toys
from support.evaluation_toys import cell, run, sums
from support.usage import assert_usage_error


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.json"


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_constants_are_about_any_section_and_reports_about_theirs(path):
    constants = {
        "name": "AlexNet at home",
        "clean_error": 0.4,
        "errors": {"fog": [0.1, 0.2, 0.3, 0.4, 0.5], "snow": {"2": 0.25}},
        "flip_probability": {"tilt": 0.07},
        "top5_distance": {"tilt": 1.2, "scale": 3},
    }
    reference = Reference.of(write(path, constants))
    assert reference.name == "AlexNet at home" and reference.clean_error == 0.4
    for section in ("c", "c_released", "p"):
        assert reference.of_section("errors", section) == {
            "fog": {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5},
            "snow": {2: 0.25},
        }
        assert reference.of_section("flips", section) == {"tilt": 0.07}
        far = reference.of_section("top5_distances", section)
        assert far == {"tilt": 1.2, "scale": 3}
    # JSON has words only for severities; this CE is over severity 2 alone.
    report = Report({cell("c", "snow", 2): sums(0.9)}, reference=reference)
    (table,) = (s.table for s in report.sections if s.name == "c")
    assert table.rows["snow"][-1] == pytest.approx(100 * 0.1 / 0.25)
    few = Reference.of(str(write(path, {})))
    assert few == Reference(str(path), None, {}, {"*": {}}, {"*": {}})
    assert Reference.of("alexnet") == Reference.of(alexnet()) == alexnet()
    assert alexnet().of_section("errors", "c") == "alexnet"
    assert alexnet().of_section("flips", "p") == {}
    cells = {
        toys.clean_cell(): sums(0.9),
        cell("c", "fog", 3): sums(0.6),
        cell("c", "snow", 3, source="released"): sums(0.25),
        cell("p", "tilt", 1): toys.flip_sums(0.125, 2.0),
    }
    reference = Reference.of(write(path, Report(cells).as_dict()))
    assert reference.name == str(path)
    assert reference.clean_error == pytest.approx(0.1)
    wanted = {"fog": {3: pytest.approx(0.4)}}
    assert reference.of_section("errors", "c") == wanted
    wanted = {"snow": {3: pytest.approx(0.75)}}
    assert reference.of_section("errors", "c_released") == wanted
    assert reference.flips == {"p": {"tilt": 0.125}}
    assert reference.top5_distances == {"p": {"tilt": 2.0}}
    assert reference.of_section("flips", "p_released") == {}
    assert reference.numbers["c"] == 200


def test_a_report_is_about_its_images(path):
    """Errors were divided by those on another dataset without a word."""
    options = {"suites": ("clean", "p"), "perturbations": ("tilt",)}
    report = run(**options).report.as_dict()
    write(path, report)
    second = run(reference=path, **options)
    assert second.reference == Reference.of(path)
    assert second.report.as_dict()["reference"] == str(path)
    flips = report["sections"]["p"]["cells"]["tilt"]["flip_probability"]
    assert second.reference.of_section("flips", "p") == {"tilt": flips}
    calls = []
    told = {"reference": path, "progress": lambda *call: calls.append(call)}
    letters, flatter, later = (toys.dataset(seed=i) for i in (0, 1, 0))
    letters.class_names = ("a", "b", "c")
    flatter.name = later.name = "flatter"
    for other, name in (
        (toys.dataset(seed=1), "flat"),
        (toys.dataset(n=22), "flat"),
        (letters, "flat"),
        (flatter, "flatter"),
    ):
        words = ("was measured on flat (", "other test images", f"{name} (im")
        assert_usage_error(lambda d=other: run(data=d, **told), *words)
        check = functools.partial(evaluation.check_selection, ("c",), other)
        assert_usage_error(lambda c=check: c(reference=path), *words)
    # Reports of older versions tell a name, which a folder has, too.
    del report["data"]
    write(path, report)
    assert_usage_error(lambda: run(**told), "does not say which images")
    words = ("flat (images not noted)", "flatter")
    assert_usage_error(lambda: run(data=later, **told), *words)
    assert_usage_error(lambda: run(**{**told, "reference": "none"}), "No such")
    assert not calls


def test_bad_files(path):
    assert_usage_error(lambda: Reference.of(path), path, "cannot be read")
    path.write_text("{")
    assert_usage_error(lambda: Reference.of(path), path, "is not JSON")
    form = "has the form neither of"
    for content, *words in (
        (3, form),
        ({"eror": {}}, "key 'eror' is not known, known are name, clean_err"),
        ({"errors": [1]}, form),
        ({"errors": {"fog": [0.1] * 4}}, form),
        ({"errors": {"fog": [10.0] * 5}}, "error of fog", "0 to 1, got 10.0"),
        ({"errors": {"fog": {"one": 0.1}}}, form),
        ({"errors": {"fogg": [0.1] * 5}}, "corruption 'fogg'"),
        ({"clean_error": "low"}, "clean_error", "got 'low'"),
        ({"flip_probability": {"tlt": 0.1}}, "perturbation 'tlt'"),
        ({"flip_probability": {"tilt": 7}}, "ability of tilt", "got 7"),
        ({"top5_distance": {"tilt": -1}}, "nce of tilt", "at least 0"),
        ({"sections": {"c": {}}}, form, "cells"),
        ({"sections": {"c": {"cells": {"fog": 1}}}}, "Cells of a report"),
        ({"sections": {"p": {"cells": {"tilt": {}}}}}, form, "flip_prob"),
    ):
        write(path, content)
        assert_usage_error(lambda: Reference.of(path), path, *words)
