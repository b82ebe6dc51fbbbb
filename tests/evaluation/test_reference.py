"""What errors and flips are divided by: reports, constants, bad files."""

import json

import pytest

from noisymix_tf.evaluation.reference import Reference, alexnet
from support.usage import assert_usage_error

PIXELS, LATER = "9b1d2c3347aa81f0", ".55ab01c98e2d7f36"
ROW = [0.1, 0.2, 0.3, 0.4, 0.5]
C = {"fog": {"3": {"accuracy": 0.75}}}
P = {"tilt": {"flip_probability": 0.1, "top5_distance": 1.5, "difficulty": 2}}
CLEAN = {"n": 200, "cells": {}, "figures": {"error": 0.1}}
SECTIONS = {"clean": CLEAN, "c_released": {"n": 100, "cells": C}}
SECTIONS["p"] = {"n": 50, "cells": P}


@pytest.fixture
def written(tmp_path):
    def written(content):
        path = tmp_path / "net.json"
        path.write_text(json.dumps(content))
        return path

    return written


def test_constants_are_about_any_section_and_any_images(written):
    flips, top5 = {"tilt": 0.07}, {"tilt": 1.2, "scale": 3}
    content = {"name": "At home", "clean_error": 0.4}
    content |= {"errors": {"fog": ROW, "snow": {"2": 0.25}}}
    content |= {"flip_probability": flips, "top5_distance": top5}
    found = Reference.of(written(content))
    # JSON has words only for severities.
    errors = {"*": {"fog": dict(enumerate(ROW, 1)), "snow": {2: 0.25}}}
    wanted = Reference("At home", 0.4, errors, {"*": flips}, {"*": top5})
    assert found == wanted and found.of_section("flips", "p") == flips
    found.check("any", PIXELS)
    few = Reference.of(path := str(written({})))
    assert few == Reference(path, None, {}, {"*": {}}, {"*": {}})
    assert alexnet().of_section("errors", "c") == "alexnet"
    assert alexnet().of_section("flips", "p") == {}
    for name, data in (("alexnet", None), (None, 1000), ("alexnet", 1000)):
        assert Reference.of(name, data) == Reference.of(alexnet()) == alexnet()
    assert Reference.of(None, 10) is Reference.of(None) is None
    assert_usage_error(lambda: Reference.of("alexnet", 10), "dataset has 10")


def test_a_report_is_about_its_sections_and_its_images(written):
    """Errors were divided by those on another dataset without a word."""
    content = {"dataset": "flat", "data": PIXELS + LATER, "sections": SECTIONS}
    for schema in (3, 2):  # What is read of both is the same.
        path = written(content | {"schema": schema})
        found = Reference.of(path)
        errors = {"c_released": {"fog": {3: 0.25}}}
        about = {"clean": 200, "c_released": 100, "p": 50}, {"p": 2}, "flat"
        tilts = {"p": {"tilt": 0.1}}, {"p": {"tilt": 1.5}}
        wanted = str(path), 0.1, errors, *tilts, *about, PIXELS + LATER
        assert found == Reference(*wanted)
        assert found.of_section("flips", "p_released") == {}
    for same in (PIXELS + LATER, f"{PIXELS}.0123456789abcdef"):
        found.check("flat", same)
    # Reports of older versions tell a name, which a folder has, too.
    old = Reference.of(written(content | {"data": None}))
    for own, data in ((found, "0f"), (found, None), (old, PIXELS), (old, None)):
        known = "not noted" if own is old else "9b1d2c33"
        words = f"measured on flat (images {known})", "other test images"
        assert_usage_error(lambda r=own, d=data: r.check("flat", d), *words)


def test_bad_files(tmp_path, written):
    none, form = tmp_path / "none.json", "is neither a report.json nor a file"
    assert_usage_error(lambda: Reference.of(none), none, form, "No such file")
    none.write_text("{")
    assert_usage_error(lambda: Reference.of(none), none, form)
    for content, *words in (
        (3, form),
        ({"eror": {}}, "key 'eror' is none of name, clean_error"),
        ({"errors": {"fog": ROW[1:]}}, form),
        ({"errors": {"fog": [10.0] * 5}}, "error of fog", "0 to 1, got 10.0"),
        ({"errors": {"fog": {"one": 0.1}}}, form),
        ({"errors": {"fogg": ROW}}, "corruption 'fogg'"),
        ({"clean_error": "low"}, "clean_error", "got 'low'"),
        ({"flip_probability": {"tlt": 0.1}}, "perturbation 'tlt'"),
        ({"flip_probability": {"tilt": 7}}, "ability of tilt", "got 7"),
        ({"top5_distance": {"tilt": -1}}, "nce of tilt", "at least 0"),
        ({"sections": {"c": {}}}, form, "cells"),
        ({"sections": {"c": {"cells": {"fog": 1}}}}, "net.json"),
        ({"sections": {"p": {"cells": {"tilt": {}}}}}, form, "flip_prob"),
    ):
        path = written(content)
        assert_usage_error(lambda p=path: Reference.of(p), path, *words)
