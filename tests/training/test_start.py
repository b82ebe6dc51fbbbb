"""What `--init` and `--weights` name is read, checked, announced and kept."""

import functools
from unittest import mock

import keras
import numpy as np
from numpy.testing import assert_array_equal as same

import noisymix_tf as nm
from noisymix_tf import run_folder
from noisymix_tf.config import Config
from noisymix_tf.training import setup, start
from support.usage import assert_usage_error, parsed

L = keras.layers
NAMES = ["ant", "bee", "cat", "dog"]
DATASET = mock.Mock(image_shape=(8, 8, 3), num_classes=4, class_names=NAMES)
DATASET.name = "animals"


def network(*shape, classes=4, scale=1 / 255):
    """Of images of a shape, to probabilities."""
    inputs = h = keras.Input(shape)
    h = L.Rescaling(scale)(h) if scale else h
    h = L.BatchNormalization()(L.Conv2D(3, 3)(h))
    h = L.GlobalAveragePooling2D()(h)
    return keras.Model(inputs, L.Dense(classes, "softmax", name="scores")(h))


def began(path, **flags):
    config = parsed(Config, init=path, **flags)
    found = start.of(config)
    model = setup.classifier(config, DATASET, found)
    return model, found.facts(config, DATASET)


def test_a_run_begins_where_another_ended(tmp_path, capsys):
    path, model = tmp_path / "model.keras", network(None, None, 3)
    nm.save(model, path, dataset={"class_names": NAMES})
    for place in (path, tmp_path):
        made, facts = began(place, sync_batch_norm=True)
        assert facts["path"] == str(place) and facts["head"] == "kept"
        card = nm.model_card.read(path)
        assert facts["sha256"] == card["file"]["sha256"]
        same(made.get_weights()[-2], model.get_weights()[-2])
        norms = [x for x in made.layers if hasattr(x, "synchronized")]
        assert [norm.synchronized for norm in norms] == [True]
    assert start.words(facts).endswith("), its head is kept")
    assert capsys.readouterr().err == ""
    for names, options, head in (
        (NAMES[::-1], {}, "new (other classes before)"),
        (NAMES[::-1], {"init_head": "keep"}, "kept"),
        (NAMES, {"init_head": "new"}, "new (as asked for)"),
    ):
        nm.save(model, path, dataset={"class_names": names})
        made, facts = began(path, **options)
        kernels = made.get_weights()[-2], model.get_weights()[-2]
        assert facts["head"] == head
        assert np.array_equal(*kernels) == (head == "kept")
    network(8, 8, 3, classes=5, scale=None).save(path)
    assert began(path)[1]["head"] == "new (5 classes before)"
    assert "no layer that normalises pixels" in capsys.readouterr().err
    call = functools.partial(began, path, init_head="keep")
    assert_usage_error(call, "has 5 classes, animals 4: leave it out")


class Own(keras.Model):
    """Whose layers nobody but itself knows."""


def of_two():
    inputs = [keras.Input([8, 8, 3]) for _ in range(2)]
    return keras.Model(inputs, network(8, 8, 3)(L.Add()(inputs)))


def test_a_model_for_other_inputs_is_refused(tmp_path):
    vectors = keras.Sequential([keras.Input([7]), L.Dense(4)])
    for model, words in (
        (network(9, 9, 3), "are 8 x 8 x 3: give --image_size=9, or a model"),
        (network(9, 8, 3), "9 x 8 x 3, those of the dataset are 8 x 8 x 3"),
        (network(None, None, 1), "any x any x 1, those of"),
        (of_two(), "has 2 inputs and 1 outputs"),
        (vectors, "takes arrays of shape (7,)"),
    ):
        model.save(tmp_path / "net.keras")
        call = functools.partial(began, tmp_path / "net.keras")
        assert_usage_error(call, "--init=", "net.keras ", words)


def test_what_cannot_be_trained_is_refused(tmp_path, monkeypatch):
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "saved_model.pb").write_bytes(b"")
    call = functools.partial(began, tmp_path / "served")
    assert_usage_error(call, "served is a SavedModel")
    (tmp_path / "net.keras").write_bytes(b"")
    monkeypatch.setattr(start, "read", lambda path: Own())
    call = functools.partial(began, tmp_path / "net.keras")
    assert_usage_error(call, "net.keras is a Own with a call of its own")


def test_a_run_goes_on_from_the_same_file_only(tmp_path):
    folder = tmp_path / "run"
    config = parsed(Config, output_dir=folder)

    def use(sha256):
        facts = {"path": "net.keras", "sha256": sha256}
        with run_folder.opened(config, start=facts):
            pass

    for _ in range(2):
        use("a")
    kept = folder / "init.json"
    before = kept.read_bytes()
    call = functools.partial(use, "b")
    assert_usage_error(call, "run that began from another net.keras than")
    assert kept.read_bytes() == before
    kept.write_text("half")
    assert_usage_error(call, "init.json is damaged")
