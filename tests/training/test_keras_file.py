"""`.keras` files that are equal for equal models."""

import contextlib
import json
import re
import zipfile

import keras
import numpy as np

from noisymix_tf.training import keras_file
from support import fit_models


def _contents(path):
    """Years and contents of what is in a file."""
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None
        years = {info.date_time[0] for info in file.infolist()}
        return years, {name: file.read(name) for name in file.namelist()}


def test_the_file_is_what_keras_writes_but_for_dates_and_identities(tmp_path):
    """Layers that share an object, an optimizer's state, assets."""
    shared = [keras.DTypePolicy("float32") for _ in range(2)]
    dense = [keras.layers.Dense(5, dtype=dtype) for dtype in shared * 3]
    words = keras.layers.StringLookup(vocabulary=["a", "b"])
    text = keras.Input((1,), dtype="string")
    x = keras.ops.cast(words(text), "float32")
    model = keras.Model(text, keras.Sequential(dense)(x))
    model.compile("adam", "mse", run_eagerly=True)
    batch = keras.ops.convert_to_tensor([["a"], ["c"]])
    model.train_on_batch(batch, np.zeros([2, 5]))
    keras_file.write(model, tmp_path / "ours.keras")
    model.save(tmp_path / "theirs.keras")
    loaded = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_array_equal(loaded(batch), model(batch))
    a, b = (m.optimizer.variables for m in (loaded, model))
    np.testing.assert_equal([v.numpy() for v in a], [v.numpy() for v in b])
    dates, ours = _contents(tmp_path / "ours.keras")
    _, theirs = _contents(tmp_path / "theirs.keras")
    assert dates == {1980} and list(ours) == list(theirs)
    assert json.loads(ours.pop("metadata.json"))["date_saved"][:4] == "1980"
    theirs.pop("metadata.json")
    number = rb'"shared_object_id": (\d+)'
    our_config, their_config = (f.pop("config.json") for f in (ours, theirs))
    assert ours == theirs
    assert re.sub(number, b"", our_config) == re.sub(number, b"", their_config)
    # The same objects are shared: the numbers stand for the identities.
    ids = [re.findall(number, c) for c in (our_config, their_config)]
    assert len(set(zip(*ids))) == len(set(ids[0])) == len(set(ids[1])) > 1
    assert len(ids[0]) > len(set(ids[0]))
    assert len(list(tmp_path.iterdir())) == 2  # nothing else is left


def test_an_interrupted_write_leaves_no_raw_file(tmp_path, monkeypatch):
    def save(self, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Sequential, "save", save)
    with contextlib.suppress(KeyboardInterrupt):
        keras_file.write(fit_models.classifier(), tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())
