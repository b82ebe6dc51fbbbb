"""What README shows, made small, does what it says."""

import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import noisymix_tf as nm
from noisymix_tf import model_card
from support import ROOT, picture_folders

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


def example(marker, **small):
    """The one block of Python that holds the marker, made smaller."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (code,) = (block for block in blocks if marker in block)
    for shown, new in small.items():
        assert shown in code
        code = code.replace(shown, new)
    return code


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
    smooth = [keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
    names["model"] = keras.Sequential([keras.Input([3]), *smooth])
    names["x"] = np.random.default_rng(0).normal(size=(2, 3))
    names["y"] = np.eye(2)[labels]
    exec(example("nm.theory.regularizers"), names)
    np.testing.assert_allclose(names["near"], names["exact"], rtol=1e-4)


@pytest.mark.slow
def test_a_network_of_keras_needs_nothing_of_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert isinstance(trained(tmp_path)["trainer"], nm.NoisyMix)
    subprocess.run([sys.executable, "-c", LOAD], cwd=tmp_path, check=True)
