"""What errors and flips are divided by: reports, constants, bad files."""

import json

import pytest

from noisymix_tf import corruptions
from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.evaluation.reference import Reference, alexnet, ratios
from support.usage import assert_usage_error

COMMON = corruptions.names("common")
PIXELS, LATER = "9b1d2c3347aa81f0", ".55ab01c98e2d7f36"
ROW = [0.1, 0.2, 0.3, 0.4, 0.5]
C = {"fog": {"3": {"accuracy": 0.75}}}
P = {"tilt": {"flip_probability": 0.1, "top5_distance": 1.5, "difficulty": 2}}
CLEAN = {"n": 200, "cells": {}, "figures": {"error": 0.1}}
SECTIONS = {"clean": CLEAN, "c_released": {"n": 100, "cells": C}}
SECTIONS["p"] = {"n": 50, "cells": P}


def written(folder, content):
    path = folder / "net.json"
    path.write_text(json.dumps(content))
    return path


def test_constants_are_about_any_section_and_any_images(tmp_path):
    flips, top5 = {"tilt": 0.07}, {"tilt": 1.2, "scale": 3}
    content = {"name": "At home", "clean_error": 0.4}
    content |= {"errors": {"fog": ROW, "snow": {"2": 0.25}}}
    content |= {"flip_probability": flips, "top5_distance": top5}
    found = Reference.of(written(tmp_path, content))
    # JSON has words only for severities.
    errors = {"*": {"fog": dict(enumerate(ROW, 1)), "snow": {2: 0.25}}}
    wanted = Reference("At home", 0.4, errors, {"*": flips}, {"*": top5})
    assert found == wanted and found.of_section("flips", "p") == flips
    found.check("any", PIXELS)
    few = Reference.of(path := str(written(tmp_path, {})))
    assert few == Reference(path, None, {}, {"*": {}}, {"*": {}})
    assert alexnet().of_section("flips", "p") == {}
    for name, data in (("alexnet", None), (None, 1000), ("alexnet", 1000)):
        assert Reference.of(name, data) == Reference.of(alexnet()) == alexnet()
    assert Reference.of(None, 10) is Reference.of(None) is None
    assert_usage_error(lambda: Reference.of("alexnet", 10), "dataset has 10")


def test_a_report_is_about_its_sections_and_its_images(tmp_path):
    """Errors were divided by those on another dataset without a word."""
    content = {"dataset": "flat", "data": PIXELS + LATER, "sections": SECTIONS}
    for schema in (3, 2):  # What is read of both is the same.
        path = written(tmp_path, content | {"schema": schema})
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
    old = Reference.of(written(tmp_path, content | {"data": None}))
    for own, data in ((found, "0f"), (found, None), (old, PIXELS), (old, None)):
        known = "not noted" if own is old else "9b1d2c33"
        words = f"measured on flat (images {known})", "other test images"
        assert_usage_error(lambda r=own, d=data: r.check("flat", d), *words)


def test_bad_files(tmp_path):
    none, form = tmp_path / "none.json", "is neither a report.json nor a file"
    assert_usage_error(lambda: Reference.of(none), none, form, "No such file")
    none.write_bytes(b"\xd6" * 999)  # All that a file holds was told.
    assert len(assert_usage_error(lambda: Reference.of(none), form)) < 300
    for content, *words in (
        (3, form),
        ({"eror": {}}, "key 'eror' is none of name, clean_error"),
        ({"errors": {"fog": ROW[1:]}}, form),
        ({"errors": {"fog": [10.0] * 5}}, "error of fog", "0 to 1, got 10.0"),
        ({"mean_errors": {"fogg": 0.1}}, "corruption 'fogg'"),
        ({"mean_errors": {"fog": 2}}, "error of fog", "got 2"),
        ({"clean_error": "low"}, "clean_error", "got 'low'"),
        ({"flip_probability": {"tlt": 0.1}}, "perturbation 'tlt'"),
        ({"flip_probability": {"tilt": 7}}, "ability of tilt", "got 7"),
        ({"top5_distance": {"tilt": -1}}, "nce of tilt", "at least 0"),
        ({"sections": {"c": {}}}, form, "cells"),
        ({"sections": {"c": {"cells": {"fog": 1}}}}, "net.json"),
        ({"sections": {"p": {"cells": {"tilt": {}}}}}, form, "flip_prob"),
    ):
        path = written(tmp_path, content)
        assert_usage_error(Reference.of, path, *words, reference=path)


# AugMix's code has the means of AlexNet's errors (imagenet.py).
MEANS = "886428 894468 922640 819880 826268 785948 798360 866816 826572 819324 "
MEANS += "564592 853204 646056 717840 606500"


def corruption_errors(ours, base, *clean, severities=SEVERITIES):
    own = Reference("own", errors={"*": ours}).mean_errors("c", severities)
    base = base if base == alexnet() else Reference("", errors={"c": base})
    return ratios(own, base.mean_errors("c", severities), *clean)


def test_corruption_errors_of_alexnet_and_by_hand():
    known = alexnet().of_section("errors", "c")
    means = alexnet().mean_errors("c")
    for name, mean in zip(COMMON, MEANS.split(), strict=True):
        assert means[name] == pytest.approx(float(f"0.{mean}"), abs=1e-6)
    extra = corruptions.names("extra")
    assert tuple(alexnet().over_severities) == extra
    assert means.keys() == {*COMMON, *extra} and tuple(known) == COMMON
    ours = {"fog": {5: 0.5, 4: 0.4, 1: 0.1, 2: 0.2, 3: 0.3}, "snow": (0.0,) * 5}
    reference = {"fog": (0.3, 0.4, 0.6, 0.8, 0.9), "snow": (0.2,) * 5}
    # Sums first: 1.5 / 3.0, not the mean of the five ratios.
    errors = corruption_errors(ours, reference)
    assert errors == {"fog": pytest.approx(50), "snow": 0.0}
    some = corruption_errors(ours, reference, severities=(1, 3))
    assert some["fog"] == pytest.approx(100 * 0.4 / 0.9)
    # What cannot be divided is left out.
    assert corruption_errors({"snow": (0.5,) * 5}, reference, 0, 0.2) == {}
    for own, base, more in (
        ({"snow": (0.5,) * 5}, {"fog": (0.5,) * 5}, {}),
        ({"snow": {1: 0.5}}, reference, {}),
        ({"fog": (0.5,) * 5}, {"fog": {4: 0.5}}, {"severities": (4, 5)}),
        ({"spatter": (0.5,) * 5}, alexnet(), {"severities": (1, 2)}),
        ({"blot": (0.5,) * 5}, alexnet(), {}),
    ):
        assert corruption_errors(own, base, **more) == {}
