"""Shared fixtures: where the oracle data and the sample images lie."""

import ctypes
import functools
import gc
import json
import os
import pathlib
import signal
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# At least one process for each core (pytest-xdist; three of them stay below
# 3 GB each); threads of one would hold up the others. The processes that tests
# start inherit it.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Of the processes that begin from here: arenas of many threads keep memory.
os.environ.setdefault("MALLOC_ARENA_MAX", "2")

import numpy as np
import pytest

# A shell's background ignores Ctrl-C, which tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A user's own parts are registered in processes of their own only.
collect_ignore = ["support"]

HERE = pathlib.Path(__file__).resolve().parent
_BESIDE = HERE.parents[1] / "shared"
_FULL = os.environ.get("NOISYMIX_GOLDEN_DIR", _BESIDE / "golden")
FULL_GOLDEN_DIR = pathlib.Path(_FULL)
DATA_DIR = pathlib.Path(os.environ.get("NOISYMIX_DATA_DIR", _BESIDE / "data"))


def pytest_configure(config):
    """Two logical devices let the tests compare one replica with two."""
    if config.getoption("numprocesses", None):
        return  # This process only hands out tests.
    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: no process ends long after another."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish():
    """What is imported stays, and need not be looked through again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def freed_memory_goes_back():
    """A process of many files would keep what the largest of them needed.

    And the determinism that a command has asked for.
    """
    yield
    from tensorflow.python.framework import config

    config.disable_op_determinism()
    gc.collect()
    gc.freeze()  # What is kept for all tests, such as compiled functions.
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture
def determinism():
    """TensorFlow's operations must be deterministic, as train.py wants it."""
    from tensorflow.python.framework import config

    config.enable_op_determinism()
    yield
    config.disable_op_determinism()


def _load(folder, name):
    path = folder / name
    if path.suffix == ".json":
        return json.loads(path.read_text())
    return np.load(path)


@pytest.fixture(scope="session")
def golden():
    """Loads a file of `tests/golden/` by name."""
    return functools.partial(_load, HERE / "golden")


@pytest.fixture(scope="session")
def full_golden():
    """Oracle data too large for the repository, for slow tests, or a skip."""
    if not FULL_GOLDEN_DIR.is_dir():
        pytest.skip(f"no data at {FULL_GOLDEN_DIR} (set NOISYMIX_GOLDEN_DIR)")
    return functools.partial(_load, FULL_GOLDEN_DIR)


@pytest.fixture(scope="session")
def cifar10_test():
    """The CIFAR-10 test images and labels, in the official order, or a skip."""
    folder = DATA_DIR / "tensorflow_datasets"
    if not (folder / "cifar10").is_dir():
        pytest.skip(f"no cifar10 in {folder} (set NOISYMIX_DATA_DIR)")
    from noisymix_tf import data

    test = data.load("cifar10", data_dir=str(folder)).test
    return next(test.batches(len(test)))


@pytest.fixture(scope="session")
def trained_resnet20(golden):
    """ResNet-20 with published weights; it expects ImageNet's constants."""
    from noisymix_tf import models

    constants = {"mean": models.IMAGENET_MEAN, "std": models.IMAGENET_STD}
    model = models.build("resnet20", **constants)
    models.load_torch_weights(model, golden("resnet20_weights.npz"))
    return model
