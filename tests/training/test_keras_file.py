"""`.keras` files that are equal for equal models."""

import contextlib
import re
import zipfile

import keras
import numpy as np

from noisymix_tf.training import keras_file
from support import fit_models


def _shared(config):
    """Identities of shared objects, and the configuration without them."""
    pattern = r'"shared_object_id": (\d+)'
    return re.findall(pattern, config), re.sub(pattern, "", config)


def test_the_file_is_what_keras_writes_but_for_dates_and_identities(tmp_path):
    """Layers that share an object, an optimizer's state."""
    policy, other = keras.DTypePolicy("float32"), keras.DTypePolicy("float32")
    model = keras.Sequential(
        [
            keras.Input((3,)),
            *(
                keras.layers.Dense(5, activation="relu", dtype=dtype)
                for dtype in (policy, other) * 3
            ),
        ]
    )
    model.compile("adam", "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=[8, 3]).astype(np.float32)
    model.train_on_batch(x, np.zeros([8, 5]))
    keras_file.write(model, tmp_path / "ours.keras")
    model.save(tmp_path / "theirs.keras")
    loaded = keras.models.load_model(tmp_path / "ours.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    for a, b in zip(
        loaded.optimizer.variables, model.optimizer.variables, strict=True
    ):
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
        assert b"1980-01-01" in ours.read("metadata.json")
    assert len(list(tmp_path.iterdir())) == 2  # nothing else is left


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
    with contextlib.suppress(KeyboardInterrupt):
        keras_file.write(model, tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())
