"""The reference's own networks: shapes, values and gradients."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from noisymix_tf import models

PREACT = "full_golden", "tiny_preactresnet18_w0125.npz", "preact_resnet18"
PREACT = pytest.param(PREACT, marks=pytest.mark.slow, id="preact")
WRN = "golden", "tiny_wrn10_1.npz", "wide_resnet28_4"
NAMES = "preact_resnet18", "wide_resnet28_4", "resnet50"
THEIRS = "PreActResNet18", "WideResNet28", "ResNet50"


@pytest.fixture(params=[pytest.param(WRN, id="wrn"), PREACT])
def case(request):
    load, file, name = request.param
    arrays = request.getfixturevalue(load)(file)
    if name == "preact_resnet18":
        model = models.build(name, width=0.125)
    else:
        model = models.wide_resnet(10, 1, dropout=0.0)
    state = {k[3:]: arrays[k] for k in arrays.files if k.startswith("w__")}
    models.load_torch_weights(model, state)
    return arrays, model, state, models.MODELS.get(name).torch_names[0]


def test_logits_and_running_statistics(case):
    arrays, model, state, names = case
    images = arrays["images_uint8"][:8]
    assert_allclose(model(images), arrays["eval_logits_first8"], atol=1e-4)
    logits = model(images, training=True)
    assert_allclose(logits, arrays["train_logits_first8_nomix"], atol=1e-4)
    checked = 0
    for layer in model.layers:
        name = names.of(layer.name)
        key = f"train_nomix_after__{name}.running_"
        if f"{key}mean" not in arrays.files:
            continue
        checked += 1
        # PyTorch keeps the unbiased variance of a batch, Keras the biased.
        count = np.prod([8, *layer.output.shape[1:3]])
        kept = layer.momentum * state[f"{name}.running_var"]
        unbiased = (layer.moving_variance - kept) * count / (count - 1) + kept
        assert_allclose(layer.moving_mean, arrays[f"{key}mean"], atol=1e-5)
        assert_allclose(unbiased, arrays[f"{key}var"], rtol=1e-4)
    assert checked >= 3


@pytest.mark.parametrize("name, theirs", zip(NAMES, THEIRS))
def test_shapes_and_entries_of_every_layer(golden, name, theirs):
    expected = golden("params_and_shapes.json")[f"{theirs}_10"]
    model = models.build(name, num_classes=10)
    (names,) = models.MODELS.get(name).torch_names
    layers = {names.of(x.name): x for x in model.layers if x.weights}
    for stage in "123":
        layers[f"layer{stage}"] = model.get_layer(f"stage{stage}")
    rows = {row["name"]: row for row in expected["layers_in_call_order"]}
    for torch_name, layer in layers.items():
        _, channels, *sides = rows[torch_name]["out_nchw"]
        assert layer.output.shape[1:] == (*sides, channels), torch_name
    # And the other way round: the reference has no layer that is missing.
    for torch_name, row in rows.items():
        if row["n_params"] and not row["type"].startswith("Sequential"):
            assert torch_name in layers
