"""One export for all tests of a process."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from noisymix_tf.serving import SIGNATURES, export
from support import served as support


@pytest.fixture(scope="session")
def model():
    return support.classifier()


@pytest.fixture(scope="session")
def served(model, tmp_path_factory):
    """Checked by a new process without this package, as users have it."""
    told = {"class_names": support.NAMES, "preprocess": support.PREPROCESS}
    path = tmp_path_factory.mktemp("serving") / "kinds"
    return export(model, path, batch_sizes=support.BATCHES, **told)


@pytest.fixture
def pixels_only(monkeypatch):
    """Without what takes longest to trace, where it is not what is tested."""
    for name in ("serving_bytes", "tf_example"):
        monkeypatch.delitem(SIGNATURES, name)


@pytest.fixture(scope="session")
def loaded(served):
    return tf.saved_model.load(str(served.path))


@pytest.fixture(scope="session")
def photograph():
    noise = np.random.default_rng(1).integers(0, 256, (6, 9, 3), np.uint8)
    return np.asarray(Image.fromarray(noise).resize((90, 60), Image.BICUBIC))
