"""The strategy by name."""

import pytest
import tensorflow as tf

from noisymix_tf import distribution
from noisymix_tf.errors import UsageError

GPUS = len(tf.config.list_logical_devices("GPU"))
CPUS = len(tf.config.list_logical_devices("CPU"))


def test_all_devices_of_a_kind():
    mirrored = distribution.strategy("mirrored")
    assert isinstance(mirrored, tf.distribute.MirroredStrategy)
    assert mirrored.num_replicas_in_sync == (GPUS or CPUS)


def test_one_device():
    assert distribution.strategy("single") is None
    assert distribution.strategy("auto") is distribution.strategy() is None or (
        GPUS > 1
    )


@pytest.mark.parametrize(
    ("gpus", "auto", "mirrored"), [(0, None, 2), (1, None, 1), (2, 2, 2)]
)
def test_auto_takes_several_gpus(monkeypatch, gpus, auto, mirrored):
    """Devices are made up: CPUs under the name of GPUs."""
    cpus = tf.config.list_logical_devices("CPU")[:2]

    def devices(kind):
        return {"GPU": cpus[:gpus], "CPU": cpus}[kind]

    monkeypatch.setattr(tf.config, "list_logical_devices", devices)
    for name, wanted in (
        ("auto", auto),
        ("mirrored", mirrored),
        ("single", None),
    ):
        made = distribution.strategy(name)
        if wanted is None:
            assert made is None
        else:
            assert made.num_replicas_in_sync == wanted


@pytest.mark.parametrize("name", ["tpu", "", None, "Mirrored"])
def test_unknown_names(name):
    with pytest.raises(UsageError, match="auto, single, mirrored") as caught:
        distribution.strategy(name)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)
