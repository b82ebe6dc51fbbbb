"""What README shows, made small, does what it says."""

import re
import shlex
import subprocess
import sys

import keras
import numpy as np
import pytest

import noisymix_tf as nm
from noisymix_tf import __main__, command_line, model_card
from noisymix_tf.comparison.table import TITLES
from support import ROOT, picture_folders
from support.pages import PAGES, blocks, example

SMALL = {'"PHOTOS"': "PHOTOS", "96": "32"}
SMALL["20, steps_per_epoch=31"] = "1, steps_per_epoch=2"
TINY = """
def network(shape, weights, classes):
    return keras.Sequential([
        keras.Input(shape), keras.layers.Rescaling(1 / 127.5, -1.0),
        keras.layers.Conv2D(4, 3, 2), keras.layers.BatchNormalization(),
        keras.layers.ReLU(), keras.layers.Conv2D(4, 3, 2),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(classes, "softmax"),
    ])
"""
LOAD = """
import sys
sys.modules["noisymix_tf"] = None  # as where it is not installed
import keras, numpy as np
model = keras.models.load_model("robust.keras")
p = model.predict(np.zeros([2, 32, 32, 3], np.float32), verbose=0)
assert p.shape == (2, 2) and np.allclose(p.sum(-1), 1, atol=1e-5)
"""


def trained(folder, **small):
    """Runs the example of training; returns its names."""
    photos = picture_folders.make(folder / "photos", train=32, size=(32, 32))
    names = {"PHOTOS": str(photos)}
    exec(example("MobileNetV3Small", **SMALL, **small), names)
    card = model_card.read(folder / "robust.keras")
    assert card["training"]["steps"] == 2
    assert card["dataset"]["num_classes"] == 2
    return names


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = "network = keras.applications.MobileNetV3Small\n"
    names = trained(tmp_path, **{network: TINY})
    exec(
        example("photos.class_names", **{'"PHOTOS"': "PHOTOS", "96": "32"}),
        names,
    )
    images, labels = next(names["photos"].test.batches(2))
    names |= {"images": images, "labels": labels}
    exec(example("nm.corruptions.corrupt"), names)
    assert names["foggy"].shape == images.shape
    assert names["films"].shape == (2, 31, 32, 32, 3)
    exec(example("nm.data.corrupted", foggy="batches"), names)
    (batch, _), *_ = names["batches"]
    assert batch.shape == images.shape
    exec(example("nm.attacks.pgd"), names)
    distance = np.abs(names["adversarial"] - images.astype(np.float32)).max()
    assert 1 < distance <= 4.001
    names["resnet20"] = names["network"]((32, 32, 3), None, 10)
    small = {'"cifar10", data_dir="DIR"': '"digits"', "2000": "2"}
    exec(example("resnet20", **small), names)
    smooth = [keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
    names["model"] = keras.Sequential([keras.Input([3]), *smooth])
    names["x"] = np.random.default_rng(0).normal(size=(2, 3))
    names["y"] = np.eye(2)[labels]
    exec(example("nm.theory.regularizers"), names)
    np.testing.assert_allclose(names["near"], names["exact"], rtol=1e-4)


def test_every_command_that_is_shown_is_one(monkeypatch):
    """Pages went on naming flags and commands that had another name."""
    given = "\n".join(blocks("bash")).replace("\\\n", "").splitlines()
    for text in PAGES.values():
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        given += re.findall(r"`(python -m noisymix_tf[^`]+ [^`]+)`", prose)
    given = [line for line in given if "python -m noisymix_tf" in line]
    parse = command_line.parse

    def parsed(*arguments, **more):
        raise StopIteration(parse(*arguments, **more))

    monkeypatch.setattr(command_line, "parse", parsed)
    monkeypatch.chdir(ROOT)
    assert len(given) > 45
    for line in given:
        line = line.rpartition("python -m noisymix_tf")[2]
        line = line.replace("=SEED", "=0").replace("FLAGS", "")
        words = [w for w in shlex.split(line, comments=True) if w != "..."]
        if "--help" in words or "--plugins" in line:  # See test_command_line.
            continue
        words[:1] = words[:1] if line[0] == " " else ["train"]
        with pytest.raises(StopIteration):
            __main__._hand_over(["noisymix", *words])


def test_the_table_of_methods_is_what_their_flagfiles_say():
    rows = ["| `--method=` | What it does | Source |", "|---|---|---|"]
    for name in TITLES:
        text = (ROOT / f"flags/method/{name}.flags").read_text("utf-8")
        head = text.partition("\n#\n")[0].replace("\n# ", " ")
        what, source = head.removeprefix("# ").split(". Source: ")
        rows.append(f"| `{name}` | {what} | {source} |")
    assert "\n".join(rows) in PAGES[ROOT / "README.md"], "\n".join(rows)


def test_the_part_that_is_shown_is_one_that_tests_use():
    own = (ROOT / "tests/support/own_parts.py").read_text("utf-8")
    assert example("MIXINGS.register") in own


@pytest.mark.slow
def test_a_network_of_keras_needs_nothing_of_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(trained(tmp_path)["trainer"], nm.NoisyMix)
    subprocess.run([sys.executable, "-c", LOAD], cwd=tmp_path, check=True)
