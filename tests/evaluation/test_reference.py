"""What errors and flips are divided by: reports, constants, bad files."""

import json

import pytest

from noisymix_tf import evaluation
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.reference import Reference, alexnet
from noisymix_tf.evaluation.report import Report
from support.evaluation_toys import (
    cell,
    clean_cell,
    dataset,
    flip_sums,
    run,
    sums,
)


def write(path, content):
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text)
    return path


CONSTANTS = {
    "name": "AlexNet at home",
    "clean_error": 0.4,
    "errors": {"fog": [0.1, 0.2, 0.3, 0.4, 0.5], "snow": {"2": 0.25}},
    "flip_probability": {"tilt": 0.07},
    "top5_distance": {"tilt": 1.2, "scale": 3},
}


def test_constants(tmp_path):
    reference = Reference.of(write(tmp_path / "net.json", CONSTANTS))
    assert reference.name == "AlexNet at home"
    assert reference.clean_error == 0.4
    # Constants are about any section.
    for section in ("c", "c_released", "c_extra"):
        assert reference.of_section("errors", section) == {
            "fog": {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5},
            "snow": {2: 0.25},
        }
    for section in ("p", "p_released"):
        assert reference.of_section("flips", section) == {"tilt": 0.07}
        far = reference.of_section("top5_distances", section)
        assert far == {"tilt": 1.2, "scale": 3}


def test_severities_of_a_file_of_constants_are_numbers(tmp_path):
    """JSON has words only; this CE is over severity 2 alone."""
    path = write(tmp_path / "net.json", CONSTANTS)
    report = Report(
        {cell("c", "snow", 2): sums(0.9)}, reference=Reference.of(path)
    )
    section = {s.name: s for s in report.sections}["c"]
    assert section.table.rows["snow"][-1] == pytest.approx(100 * 0.1 / 0.25)


@pytest.mark.parametrize(
    "content",
    [{"flip_probability": {"tilt": 0.1}}, {"errors": {"fog": [0.5] * 5}}, {}],
)
def test_constants_may_be_few(tmp_path, content):
    path = write(tmp_path / "net.json", content)
    reference = Reference.of(str(path))
    assert reference.name == str(path)
    assert reference.clean_error is None
    assert (
        reference.of_section("errors", "c").keys()
        == content.get("errors", {}).keys()
    )
    assert reference.of_section("flips", "p") == content.get(
        "flip_probability", {}
    )


def test_a_report(tmp_path):
    report = Report(
        {
            clean_cell(): sums(0.9),
            cell("c", "fog", 3): sums(0.6),
            cell("c", "saturate", 3): sums(0.5),
            cell("c", "snow", 3, source="released"): sums(0.25),
            cell("p", "tilt", 1): flip_sums(0.125, 2.0),
        }
    )
    path = write(tmp_path / "report.json", report.as_dict())
    reference = Reference.of(path)
    assert reference.name == str(path)
    assert reference.clean_error == pytest.approx(0.1)
    errors = {
        "c": {"fog": {3: pytest.approx(0.4)}},
        "c_extra": {"saturate": {3: pytest.approx(0.5)}},
        "c_released": {"snow": {3: pytest.approx(0.75)}},
        "c_released_extra": {},
    }
    for section, wanted in errors.items():
        assert reference.of_section("errors", section) == wanted
    assert reference.of_section("flips", "p") == {"tilt": 0.125}
    assert reference.of_section("top5_distances", "p") == {"tilt": 2.0}
    assert reference.of_section("flips", "p_released") == {}
    assert reference.numbers["c"] == 200


def test_a_report_that_evaluate_wrote(tmp_path):
    first = run(
        suites=("clean", "c", "p"),
        perturbations=("tilt",),
        severities=(5,),
        output_dir=tmp_path,
    )
    path = tmp_path / "report.json"
    second = run(
        suites=("clean", "c", "p"),
        perturbations=("tilt",),
        severities=(5,),
        reference=path,
    )
    assert second.reference == Reference.of(path)
    assert second.report.as_dict()["reference"] == str(path)
    sections = first.report.as_dict()["sections"]
    flips = sections["p"]["cells"]["tilt"]["flip_probability"]
    assert second.reference.of_section("flips", "p") == {"tilt": flips}


def other_classes():
    data = dataset()
    data.class_names = ("a", "b", "c")
    return data


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: dataset(seed=1), r"flat \(images \w{8}\)"),
        (lambda: dataset(n=22), r"flat \(images \w{8}\)"),
        (other_classes, r"flat \(images \w{8}\)"),
        (lambda: renamed(dataset(seed=1), "flatter"), "flatter"),
    ],
)
def test_a_report_on_other_images_is_refused(tmp_path, make, words):
    """Errors were divided by those on another dataset without a word."""
    run(suites=("clean", "c"), output_dir=tmp_path)
    calls = []
    options = {"reference": tmp_path / "report.json"}
    with pytest.raises(
        UsageError,
        match=rf"json' was measured on flat \(.*other test images.*{words}",
    ) as caught:
        run(data=make(), progress=lambda *call: calls.append(call), **options)
    assert "\n" not in str(caught.value) and not calls
    with pytest.raises(UsageError, match="other test images"):
        evaluation.check_selection(("c",), make(), **options)
    run(**options)


def renamed(data, name):
    data.name = name
    return data


def test_a_report_that_does_not_say_on_which_images_is_refused(tmp_path):
    """Reports of older versions tell a name, which a folder has, too."""
    run(suites=("clean",), output_dir=tmp_path)
    path = tmp_path / "report.json"
    content = json.loads(path.read_text())
    del content["data"]
    write(path, content)
    with pytest.raises(UsageError, match="does not say which images"):
        run(reference=path)
    with pytest.raises(UsageError, match=r"flat \(images not noted\).*flatter"):
        run(data=renamed(dataset(), "flatter"), reference=path)


def test_a_reference_is_a_reference():
    assert Reference.of(alexnet()) == alexnet()
    assert Reference.of(None) is None
    assert Reference.of("alexnet").of_section("errors", "c") == "alexnet"
    assert Reference.of("alexnet").of_section("flips", "p") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[1, 2]", "has the form neither of"),
        ("3", "has the form neither of"),
        ({"eror": {}}, "key 'eror' is not known, known are name, clean_error"),
        ({"errors": [1]}, "has the form neither of"),
        ({"errors": {"fog": [0.1] * 4}}, "has the form neither of"),
        ({"errors": {"fog": 0.5}}, "has the form neither of"),
        ({"errors": {"fog": [10.0] * 5}}, r"error of fog.*0 to 1, got 10\.0"),
        ({"errors": {"fog": {"1": None}}}, "error of fog.*got None"),
        ({"errors": {"fog": {"one": 0.1}}}, "has the form neither of"),
        ({"errors": {"fogg": [0.1] * 5}}, "corruption 'fogg'"),
        ({"clean_error": "low"}, "clean_error.*got 'low'"),
        ({"clean_error": 43.5}, "clean_error.*from 0 to 1"),
        ({"flip_probability": {"tlt": 0.1}}, "perturbation 'tlt'"),
        ({"flip_probability": {"tilt": 7}}, "flip_probability of tilt.*got 7"),
        ({"top5_distance": {"tilt": -1}}, "top5_distance of tilt.*at least 0"),
        ({"top5_distance": {"tilt": "1"}}, "got '1'"),
        ({"sections": {"c": {}}}, "has the form neither of.*cells"),
        ({"sections": []}, "has the form neither of"),
        ({"sections": {"c": {"cells": {"fog": 1}}}}, "Cells of a report"),
        (
            {"sections": {"p": {"cells": {"tilt": {}}, "n": 1}}},
            "has the form neither of.*flip_probability",
        ),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = write(tmp_path / "net.json", content)
    with pytest.raises(UsageError, match=message) as caught:
        Reference.of(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json.*No such file") as caught:
        Reference.of(tmp_path / "none.json")
    assert "\n" not in str(caught.value)
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        Reference.of(tmp_path / "folder")


def test_a_bad_reference_is_told_before_anything_is_measured(tmp_path):
    calls = []
    with pytest.raises(UsageError, match="not JSON"):
        run(
            reference=write(tmp_path / "net.json", "nonsense"),
            progress=lambda *call: calls.append(call),
        )
    assert not calls
