"""`.keras` files that are equal for equal models."""

import re
import subprocess
import sys
import zipfile

import keras
import numpy as np

from noisymix_tf.training import keras_file
from support import fit_models

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import fit_models, time
from noisymix_tf import models
from noisymix_tf.training import keras_file
junk = [object() for _ in range(int(sys.argv[3]))]
model = models.build("preact_resnet18", width=0.0625)
keras_file.write(model, sys.argv[2] + "/resnet.keras")
model = fit_models.model("plain")
fit_models.fit(model, 1)
keras_file.write(model, sys.argv[2] + "/trained.keras")
"""


def test_two_processes_write_the_same_bytes(tmp_path, request):
    for number in (0, 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        arguments = [str(request.path.parent), str(folder), str(9**number)]
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert len(list(folder.iterdir())) == 2  # nothing else is left
    for name in ("resnet.keras", "trained.keras"):
        contents = [(tmp_path / n / name).read_bytes() for n in "01"]
        assert contents[0] == contents[1]


def _shared(config):
    """Identities of shared objects, and the configuration without them."""
    pattern = r'"shared_object_id": (\d+)'
    return re.findall(pattern, config), re.sub(pattern, "", config)


def test_the_file_is_what_keras_writes_but_for_dates_and_identities(tmp_path):
    """Layers that share an object, an optimizer's state."""
    policy = keras.DTypePolicy("float32")
    other = keras.DTypePolicy("float32")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            *(
                keras.layers.Dense(5, activation="relu", dtype=dtype)
                for dtype in (policy, other) * 3
            ),
        ]
    )
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=[8, 3]).astype(np.float32)
    model.fit(x, np.zeros([8, 5]), verbose=0)
    keras_file.write(model, tmp_path / "ours.keras")
    model.save(tmp_path / "theirs.keras")
    loaded = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    for a, b in zip(loaded.optimizer.variables, model.optimizer.variables):
        np.testing.assert_array_equal(a, b)
    with (
        zipfile.ZipFile(tmp_path / "ours.keras") as ours,
        zipfile.ZipFile(tmp_path / "theirs.keras") as theirs,
    ):
        assert ours.namelist() == theirs.namelist()
        name = "model.weights.h5"
        assert ours.read(name) == theirs.read(name)
        assert ours.testzip() is None
        (our_ids, our_rest), (their_ids, their_rest) = (
            _shared(file.read("config.json").decode())
            for file in (ours, theirs)
        )
        assert our_rest == their_rest
        # The same objects are shared: the numbers stand for the identities.
        pairs = set(zip(our_ids, their_ids, strict=True))
        assert len(pairs) == len(set(our_ids)) == len(set(their_ids)) > 1
        assert len(our_ids) > len(set(our_ids))
        assert {info.date_time[0] for info in ours.infolist()} == {1980}


def test_assets_are_kept(tmp_path):
    lookup = keras.layers.StringLookup(vocabulary=["a", "b"], name="lookup")
    inputs = keras.Input((1,), dtype="string")
    model = keras.Model(inputs, lookup(inputs))
    keras_file.write(model, tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.get_layer("lookup").get_vocabulary() == ["[UNK]", "a", "b"]


def test_an_interrupted_write_leaves_no_raw_file(tmp_path, monkeypatch):
    def save(self, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    model = fit_models.classifier()
    monkeypatch.setattr(keras.Sequential, "save", save)
    try:
        keras_file.write(model, tmp_path / "m.keras")
    except KeyboardInterrupt:
        pass
    assert not list(tmp_path.iterdir())
