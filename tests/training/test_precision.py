"""Half precision: what stays float32, what overflows, what is skipped."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from noisymix_tf.callbacks import StopOnNaN, TrainingDiverged
from noisymix_tf.training import checkpoint, precision
from support import fit_models
from support.fit_models import QUIET, step

VIEWS, LABELS = fit_models.batch()
GOOD, BAD = (VIEWS, LABELS), (VIEWS * 1e30, LABELS)


def _trainer(policy, **options):
    with precision.dtype_policy(policy):
        classifier = fit_models.classifier()
    return fit_models.compiled("noisymix", classifier, **options)


def _scaled(scale):
    sgd = keras.optimizers.SGD(0.02, momentum=0.9)
    return keras.optimizers.LossScaleOptimizer(sgd, initial_scale=scale)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_trainer_takes_the_classifiers_policy(policy, tmp_path):
    before = keras.config.dtype_policy().name
    trainer = _trainer(policy)
    assert keras.config.dtype_policy().name == before
    assert trainer.dtype_policy.name == precision.name_of(trainer) == policy
    scaled = policy == "mixed_float16"
    assert precision.scales_loss(trainer.optimizer) == scaled
    floats = precision.floats_of([*trainer.variables, *trainer.variables])
    assert len(floats) == len(trainer.variables) - 1  # Its step is none.
    # Pixels reach the first layer as they are.
    image = np.full([1, 8, 8, 3], 200.3, np.float32)
    np.testing.assert_array_equal(trainer(image), trainer.model(image))
    logs = step(trainer, *GOOD)
    single = step(_trainer("float32"), *GOOD)
    assert logs == pytest.approx(single, rel=0.1, abs=0.05)
    assert all(w.dtype == np.float32 for w in trainer.model.get_weights())
    trainer.model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert precision.name_of(copy) == policy
    np.testing.assert_array_equal(copy(image), trainer(image))
    assert precision.name_of(print) is None


def test_a_step_that_overflows_is_skipped_and_leaves_no_trace():
    trainer = _trainer("mixed_float16", optimizer=_scaled(2.0**40), **QUIET)
    before = [v.numpy() for v in trainer.trainable_variables]
    for _ in range(4):
        assert np.isfinite(step(trainer, *GOOD)["loss"])
    after = [v.numpy() for v in trainer.trainable_variables]
    np.testing.assert_equal(after, before)
    assert int(trainer.step) == 4 and int(trainer.optimizer.iterations) == 0
    assert float(trainer.optimizer.dynamic_scale) == 2.0**36
    # A run that goes on has it.
    saved = map(id, checkpoint.state_variables(trainer))
    assert id(trainer.optimizer.dynamic_scale) in set(saved)
    while int(trainer.optimizer.iterations) == 0 and int(trainer.step) < 40:
        step(trainer, *GOOD)
    assert 4 < int(trainer.step) < 40
    # Where no scale helps, the training stops.
    trainer = _trainer("mixed_float16", optimizer=_scaled(2.0), **QUIET)
    trainer.run_eagerly = True
    data = tf.data.Dataset.from_tensors(BAD).repeat(5)
    with pytest.raises(TrainingDiverged, match=r"fell to 0\.5 by step 2"):
        trainer.fit(data, verbose=0, callbacks=[StopOnNaN()])
    trainer = _trainer("mixed_float16", run_eagerly=True, **QUIET)
    before = trainer.model.get_weights()
    step(trainer, *BAD)
    np.testing.assert_equal(trainer.model.get_weights(), before)
    bad, good = map(tf.data.Dataset.from_tensors, (BAD, GOOD))
    logs = trainer.fit(bad.concatenate(good), verbose=0).history
    assert int(trainer.step) == 3 and int(trainer.optimizer.iterations) == 1
    alone = step(_trainer("mixed_float16", **QUIET), *GOOD)
    for name in ("loss", "cross_entropy", "jsd"):
        assert logs[name][0] == pytest.approx(alone[name], rel=1e-3)
    # Keras asks the first replica only, which sees nothing of it.
    with fit_models.two_replicas().scope():
        trainer = _trainer("mixed_float16", **QUIET)
    before = trainer.model.get_weights()[0]
    scale = tf.constant([1.0] * 4 + [1e30] * 4)[:, None, None, None, None]
    for factor, iterations in ((scale, 0), (tf.ones_like(scale), 1)):
        data = tf.data.Dataset.from_tensor_slices((VIEWS * factor, LABELS))
        trainer.fit(data.batch(8, drop_remainder=True), verbose=0)
        assert int(trainer.optimizer.iterations.numpy()) == iterations
        after = trainer.model.get_weights()[0]
        assert (after == before).all() == (not iterations)
