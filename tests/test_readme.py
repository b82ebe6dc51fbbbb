"""What README shows, made small, does what it says."""

import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import noisymix_tf as nm
from noisymix_tf import model_card
from noisymix_tf.comparison.table import TITLES
from support import ROOT, picture_folders
from support.pages import PAGES, blocks, example

PHOTOS = {'"PHOTOS"': "PHOTOS", "96": "32"}
SMALL = PHOTOS | {"20, steps_per_epoch=31": "1, steps_per_epoch=2"}
TINY = """
from support import tiny_network
def network(shape, weights, classes):
    tiny = tiny_network.build(shape, classes, 0.5, 0.5, 1.0, seed=0)
    return keras.Model(tiny.input, keras.layers.Softmax()(tiny.output))
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
    assert model_card.read(folder / "robust.keras")["training"]["steps"] == 2
    return names


@pytest.mark.slow
def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = "network = keras.applications.MobileNetV3Small\n"
    names = trained(tmp_path, **{network: TINY})
    exec(example("photos.class_names", **PHOTOS), names)
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
    exec(example("rate_factors"), names | {"loss": "mse"})
    names["resnet20"] = names["network"]((32, 32, 3), None, 10)
    small = {'"cifar10", data_dir="DIR"': '"digits"', "2000": "2"}
    exec(example("resnet20", **small), names)
    smooth = [keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
    names["model"] = keras.Sequential([keras.Input([3]), *smooth])
    names["x"] = np.random.default_rng(0).normal(size=(2, 3))
    names["y"] = np.eye(2)[labels]
    exec(example("nm.theory.regularizers"), names)
    np.testing.assert_allclose(names["near"], names["exact"], rtol=1e-4)


def test_every_block_of_python_is_run():
    files = (ROOT / "tests").rglob("test_*.py")
    tests = "".join(path.read_text("utf-8") for path in files)
    marks = "|".join(re.findall(r'example\(\s*"([^"]+)"', tests))
    assert all(re.search(marks, block) for block in blocks("python"))


def test_links_lead_to_what_is_there():
    """Files were moved and headings changed under links to them."""
    link = re.compile(r"\]\((?!http)([^)#]*)#?([^)]*)\)")
    for path, text in PAGES.items():
        for file, anchor in link.findall(text):
            target = (path.parent / file).resolve() if file else path
            heads = re.findall(r"^#+ (.+)", PAGES.get(target, ""), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", h).lower() for h in heads]
            slugs = ["", *(slug.replace(" ", "-") for slug in slugs)]
            assert target.exists() and anchor in slugs, (path, file, anchor)


def test_the_tables_of_methods_are_what_their_flagfiles_say():
    rows = ["| `--method=` | What it does | Source |", "|---|---|---|"]
    own, base = ["| `--method=` | Source | Hyper-parameters |", rows[1]], set()
    for name in TITLES:
        text = (ROOT / f"flags/method/{name}.flags").read_text("utf-8")
        head = text.partition("\n#\n")[0].replace("\n# ", " ")
        what, source = head.removeprefix("# ").split(". Source: ")
        rows.append(f"| `{name}` | {what} | {source} |")
        lines = re.findall("(?m)^--(?!method=).*", text)
        flags = " ".join(line for line in lines if line not in base)
        base = base or {*lines}
        source = source.replace("flags/README.md", "")
        own.append(f"| `{name}` | {source} | `{flags}` |")
    for page, table in (("README.md", rows), ("flags/README.md", own)):
        table = "\n".join(table)
        assert f"\n{table}\n" in PAGES[ROOT / page], table


def test_the_part_that_is_shown_is_one_that_tests_use():
    own = (ROOT / "tests/support/own_parts.py").read_text("utf-8")
    assert example("MIXINGS.register") in own


@pytest.mark.slow
def test_a_network_of_keras_needs_nothing_of_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(trained(tmp_path)["trainer"], nm.NoisyMix)
    subprocess.run([sys.executable, "-c", LOAD], cwd=tmp_path, check=True)
