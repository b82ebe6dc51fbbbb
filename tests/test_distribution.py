"""Strategies by name, two replicas against one device, what a step needs."""

import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import noisymix_tf as nm
from noisymix_tf import attacks, data, devices, models, private
from noisymix_tf import distribution as lib
from noisymix_tf.evaluation.predictor import Predictor
from noisymix_tf.mixing import MixPlan, noise
from noisymix_tf.models.classifier import load_classifier
from noisymix_tf.training import checkpoint, replication
from noisymix_tf.training.optimizers import L2SGD
from support import fit_models
from support.evaluation_toys import random_model, run, self_labelled
from support.trainings import assert_equal
from support.usage import assert_usage_error

STEPS = 4
PLAIN = {"mixing": "none", "jsd_weight": 0.0}
_PGD = {"mixing": "none", "adversary": attacks.PGDAdversary(steps=1)}
_PUZZLEMIX = pytest.param({"mixing": "puzzlemix"}, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def two():
    return lib.strategy("mirrored")


@pytest.mark.parametrize("case", [(0, None, 2), (1, None, 1), (2, 2, 2)])
def test_strategies_of_one_machine(monkeypatch, case):
    """Devices are made up: CPUs under the name of GPUs."""
    gpus, auto, mirrored = case
    cpus = tf.config.list_logical_devices("CPU")[:2]
    found = {"GPU": cpus[:gpus], "CPU": cpus}
    monkeypatch.setattr(tf.config, "list_logical_devices", found.get)
    wanted = {"auto": auto, "mirrored": mirrored, "single": None}
    error = tf.errors.UnavailableError(None, None, "gone")
    for name, count in wanted.items():
        made = lib.strategy(name)
        assert (made is None) == (count is None)
        assert lib.num_replicas(made) == (count or 1)
        # A second default strategy of a process breaks.
        assert lib.strategy(name) is made
        assert lib.is_chief(made) and not lib.has_many_machines(made)
        assert not lib.is_lost_machine(made, error)
        with lib.scope(made):
            assert tf.distribute.has_strategy() == (made is not None)
        lib.check_accumulation(made, 1 if count else 2)


def test_mistakes_are_one_line(two, monkeypatch):
    for call, *words in (
        (lambda: lib.check_accumulation(two, 2), "MirroredStrategy"),
        (lambda: lib.strategy("tpu", "local"), "No TPU was found"),
        (lambda: lib.strategy("tpu", "grpc://127.0.0.1:1"), "--tpu=grpc"),
    ):
        assert_usage_error(call, *words)

    def config(kind, index, **cluster):
        task = {"type": kind, "index": index}
        return json.dumps({"cluster": cluster, "task": task})

    for text in (
        *("", "not JSON", "[]", config("ps", 0, ps=["a:1"])),
        config("worker", 2, worker=["a:1", "b:1"]),
        config("worker", None, worker=["a:1"]),
        config("worker", 0, worker=[1]),
    ):
        monkeypatch.setenv("TF_CONFIG", text)
        words = "TF_CONFIG", '"cluster"'
        assert_usage_error(lambda: lib.strategy("multi_worker"), *words)


def test_what_runs_is_said_and_an_unseen_gpu(capsys, monkeypatch):
    """Plain `tensorflow` comes without CUDA, and would use the CPU silently."""

    def said(*arguments, **more):
        devices.announce(*arguments, **more)
        return capsys.readouterr().err

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for files, tool in (([], None), (["/dev/x"], None), ([], "/dev/x")):
        monkeypatch.setattr(devices.glob, "glob", lambda _, f=files: f)
        monkeypatch.setattr(devices.shutil, "which", lambda _, t=tool: t)
        line = said(xla=True, precision="half")
        assert line.startswith("Runs on CPU:0 (") and "no accelerator" in line
        assert "; XLA on; half; operations that need not be determ" in line
        warned = "NVIDIA GPU (/dev/x)" in line, "noisymix_tf[gpu]" in line
        assert warned == (bool(files or tool),) * 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    line = said(lib.strategy("mirrored"), xla=False)
    assert line.startswith("Runs on CPU:0, CPU:1 (") and "XLA off" in line
    assert "NVIDIA" not in line and "XLA" not in said()
    gpu = types.SimpleNamespace(name="/device:GPU:0", memory_limit=9e9)
    replace, used = monkeypatch.setattr, {"current": 2e9}
    replace(private.device_lib, "list_local_devices", lambda: [gpu])
    replace(tf.config, "list_logical_devices", lambda *_: [gpu])
    replace(tf.config.experimental, "get_memory_info", lambda *_: used)
    assert said().startswith("Runs on GPU:0 (7.0 GB free); operations")


def _trainer(strategy, sync=True, dropout=0.0, **options):
    with lib.scope(strategy):
        sgd = L2SGD(0.05, momentum=0.9, nesterov=True, l2=5e-4)
        network = fit_models.classifier(layers.Dropout(dropout, seed=1))
        network.get_layer("norm").synchronized = sync
        options |= {"optimizer": sgd, "seed": 3}
        return fit_models.compiled("noisymix", network, **options)


def _fit(trainer, start=0, stop=STEPS):
    batches = fit_models.batches("noisymix", start).take(stop - start)
    batches = data.distribute(trainer.distribute_strategy, lambda _: batches)
    return trainer.fit(batches, shuffle=False, verbose=0).history


def _state(trainer):
    variables = checkpoint.state_variables(trainer)
    return [np.asarray(variable).copy() for variable in variables]


def test_two_replicas_train_as_one_device(two, monkeypatch):
    """With statistics of the whole batch, where one mixes within its halves."""
    options = {"multiplicative_noise": 0.0, "noise_scale": "std"}
    # So little noise changes nothing, but what it goes by is measured.
    options["additive_noise"] = 1e-30
    one, both = (_trainer(s, **options) for s in (None, two))
    # What the trainer has made of its argument `mixing`.
    whole_plan = one._mixing.plan

    def in_halves(seed, batch_size):
        plan = whole_plan(seed, batch_size // 2)
        halves = [plan.permutation, plan.permutation + batch_size // 2]
        return MixPlan(plan.tap, plan.lam, tf.concat(halves, 0))

    def of_halves(x, variance=noise.variance):
        return tf.reduce_mean([*map(variance, tf.split(x, 2))])

    both_logs = _fit(both)
    monkeypatch.setattr(one._mixing, "plan", in_halves)
    monkeypatch.setattr(noise, "variance", of_halves)
    logs = _fit(one)
    for found in both.noise_variance.value.values:
        np.testing.assert_allclose(found, one.noise_variance, rtol=1e-4)
    for a, b in zip(one.model.get_weights(), both.model.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert both_logs.keys() == logs.keys()
    for name, values in logs.items():
        assert both_logs[name] == pytest.approx(values, rel=1e-4), name
    assert int(both.step.numpy()) == STEPS
    # Else Keras ends in a traceback: it would sum inside of a condition.
    both.compile(L2SGD(0.1, gradient_accumulation_steps=2), both.loss)
    assert_usage_error(both.make_train_function, "--accumulation_steps=2")
    model = models.build("resnet20", width=0.25, sync_batch_norm=True)
    assert {getattr(x, "synchronized", True) for x in model.layers} == {True}


def test_replicas_draw_apart_and_share_their_statistics(two):
    """And one device those that Keras drops."""
    with two.scope():
        layer = layers.Dropout(0.5, seed=1)

    @tf.function
    def masks():
        def replica():
            with replication.own_draws(layer):
                return layer(tf.ones([1000]), training=True)

        return two.run(replica)

    (first, second), (again, _) = (masks().values for _ in range(2))
    for other in (second, again):
        assert 0.4 < np.mean((first > 0) != (other > 0)) < 0.6
    assert "next" not in vars(layer.seed_generator)  # Nothing is left behind.
    alone, plain = (layers.Dropout(0.5, seed=1) for _ in range(2))
    with replication.own_draws(alone):
        x = alone(tf.ones([100]), training=True)
    np.testing.assert_array_equal(x, plain(tf.ones([100]), training=True))
    with two.scope():
        norm, frozen = (layers.BatchNormalization() for _ in range(2))
        constant = layers.Normalization(mean=0.1, variance=0.3)
        model = keras.Sequential([keras.Input((3,)), norm, frozen, constant])
        frozen.trainable = False
        fixed = [w.copy() for w in frozen.get_weights()]

    @tf.function
    def step():
        def replica():
            context = tf.distribute.get_replica_context()
            x = tf.cast(context.replica_id_in_sync_group, tf.float32)
            with replication.shared_state(model):
                model(tf.fill([4, 3], 1.0 + 2.0 * x), training=True)

        two.run(replica)

    step()
    for value in norm.moving_mean.value.values:
        np.testing.assert_allclose(value, [0.02] * 3, rtol=1e-4)
    assert_equal(frozen.get_weights(), fixed)


def test_a_run_goes_on_from_a_checkpoint(two, tmp_path):
    both, one = (_trainer(s, dropout=0.1, **PLAIN) for s in (two, None))
    start, folder = _state(both), checkpoint.CheckpointFolder(tmp_path)
    _fit(both, stop=2)
    folder.save(both, 2)
    middle = _state(both)
    _fit(both, 2)
    whole = _state(both)
    checkpoint.assign(checkpoint.state_variables(both), start)
    for trainer in (both, one):
        assert folder.restore(trainer)[0] == 2
        assert_equal(_state(trainer), middle)
        _fit(trainer, 2)
        assert int(trainer.step.numpy()) == STEPS
    assert_equal(_state(both), whole)
    folder.save(one, STEPS)
    assert folder.restore(both)[0] == STEPS
    assert_equal(_state(one), _state(both))


@pytest.mark.slow
@pytest.mark.parametrize("options", [_PGD, _PUZZLEMIX])
def test_a_run_goes_on_where_moving_statistics_are_used(two, options):
    """Each replica would use its own, a checkpoint hold those of the first."""
    options = {**PLAIN, **fit_models.NO_NOISE, "ema": 0.5, **options}
    trainer = _trainer(two, False, taps="normalize", **options)
    variables, start = checkpoint.state_variables(trainer), _state(trainer)
    _fit(trainer)
    whole = _state(trainer)
    checkpoint.assign(variables, start)
    _fit(trainer, stop=2)
    saved = _state(trainer)
    with trainer.evaluation_weights():
        pass
    for _ in range(2):
        _fit(trainer, 2)
        assert_equal(_state(trainer), whole)
        checkpoint.assign(variables, saved)


@pytest.mark.parametrize("count", [1, 2])
def test_compiled_functions(two, count):
    """Each replica gets its part; what is shared, it gets whole."""
    traces = []

    @tf.function  # It is taken as it is.
    def function(x, y, factor):
        traces.append(y.shape)
        sums = tf.fill(tf.shape(y), tf.reduce_sum(x))
        return {"sum": x + factor * y[:, None], "part": sums}

    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    y = np.arange(4, dtype=np.float32)
    replicas = lib.Replicas(two if count == 2 else None)
    rounded = [replicas.count, *map(replicas.round_up, (1, 2, 7, 8))]
    assert rounded == ([1, 1, 2, 7, 8] if count == 1 else [2, 2, 2, 8, 8])
    call = replicas.compile(function)
    parts = [66.0] * 4 if count == 1 else [15.0, 15.0, 51.0, 51.0]
    for _ in range(3):
        results = call(x, y, shared=(tf.constant(10.0),))
        np.testing.assert_array_equal(results["sum"], x + 10 * y[:, None])
        assert results["part"].tolist() == parts
    # Once on one device, once on each of two.
    assert [tuple(shape) for shape in traces] == [(4 // count,)] * count


def test_odd_batches_are_filled_up_and_one_shape_is_compiled(two):
    shapes, rows = [], np.arange(23.0, dtype=np.float32)[:, None] * [1, 2]

    def spy(x, training):
        shapes.append(x.shape[0])
        return 3.0 * x

    predictor = Predictor(spy, 2, rows[:2], 7, replicas=lib.Replicas(two))
    for n in (23, 1, 2):
        np.testing.assert_allclose(predictor(rows[:n]), 3 * rows[:n])
    assert shapes == [4, 4]


@pytest.mark.slow
def test_evaluations_agree(two, tmp_path):
    """Batches of 7 become 8 on two devices; the last one of 23 is filled."""
    plain = random_model()
    with two.scope():
        mirrored = random_model()
    mirrored.set_weights(plain.get_weights())
    data = self_labelled(plain)
    nm.export(plain, tmp_path, fresh_process=False)
    with two.scope():
        loaded = load_classifier(tmp_path)
    options = {"severities": (5,), "eps": ("1/255",), "attack_steps": 2}
    options |= {"attack_losses": ("cross_entropy",), "batch_size": 7}
    every = {**options, "suites": ("clean", "c", "fgsm", "pgd")}
    one = run(plain, data, **every).scores
    other = run(mirrored, data, strategy=two, **every).scores
    assert list(one) == list(other)  # A fingerprint depends on no device.
    del every["severities"], every["attack_steps"]
    every |= {"suites": ("clean", "fgsm"), "strategy": two}
    saved = run(loaded, data, **every).scores
    by_name = {cell.name: scores.rows for cell, scores in one.items()}
    for cell, scores in (*other.items(), *saved.items()):
        rows, wanted = scores.rows, by_name[cell.name]
        np.testing.assert_array_equal(rows["right"], wanted["right"])
        np.testing.assert_allclose(rows["nll"], wanted["nll"], 1e-3, 1e-5)
    assert len({rows["right"].sum() for rows in by_name.values()}) > 2


MB = 2**20


def _chain(x):
    for _ in range(9):
        x = tf.sin(x)
    return x


def _gradient(x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = _chain(x)
    return tape.gradient(y, x)


def _in_a_loop(x):
    return tf.map_fn(tf.function(_gradient), tf.stack([x] * 3))


def _traced(function):
    spec = tf.TensorSpec([MB // 4])
    return tf.function(function, autograph=False).get_concrete_function(spec)


def test_what_is_needed_again_counts_until_then(monkeypatch, capsys):
    """README's photo command took 10 GB without a word."""
    found = [_traced(f) for f in (_chain, _gradient, _in_a_loop)]
    once, kept, inside = (devices.peak(f.graph) / MB for f in found)
    assert round(once) == 2 and 10 <= kept <= 13  # An input and an output.
    assert kept <= inside <= kept + 6

    def said(free, **more):
        found = devices.Devices("CPU", (), free, 1, machines=False, sums=False)
        monkeypatch.setattr(devices, "found", lambda strategy: found)
        devices.announce_memory(_traced(_gradient), **more)
        return capsys.readouterr().err

    line = said(10 * MB, is_silent=True)
    assert line.startswith("warning: a step needs about 0.0 GB of memory, but")
    assert "--batch_size" in line and line.count("\n") == 1
    assert said(2e9) == "A step needs about 0.0 GB of memory; 2.0 GB are free\n"
    assert said(2e9, is_silent=True) == said(None) == ""
