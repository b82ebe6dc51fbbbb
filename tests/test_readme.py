"""What README shows, made small, does what it says."""

import re
import subprocess
import sys

import pytest

from noisymix_tf import model_card
from support import ROOT

LOAD = """
import sys
sys.modules["noisymix_tf"] = None  # as where it is not installed
import keras, numpy as np
model = keras.models.load_model("robust.keras")
p = model.predict(np.zeros([2, 32, 32, 3], np.float32), verbose=0)
assert p.shape == (2, 10) and np.allclose(p.sum(-1), 1, atol=1e-5)
"""


def _example(marker):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        if marker in block
    )
    return block


def _run(code, folder):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_example_trains_a_network_of_keras(tmp_path, data_dir):
    code = _example("MobileNetV3Small")
    for shown, small in {
        '"PHOTOS"': repr(str(data_dir / "imagenette_small")),
        "96": "32",
        "epochs=20, steps_per_epoch=31": "epochs=1, steps_per_epoch=2",
        "max_examples=200": "max_examples=20",
    }.items():
        assert shown in code
        code = code.replace(shown, small)
    _run(code, tmp_path)
    card = model_card.read(tmp_path / "robust.keras")
    assert card["training"]["steps"] == 2
    assert card["dataset"]["num_classes"] == 10
    _run(LOAD, tmp_path)
