import keras
import pytest

from noisymix_tf import models
from support.network_checks import dropout_rates, trainable_count


@pytest.mark.parametrize("width, count", [(0.25, 700_762), (0.125, 176_050)])
def test_width(width, count):
    model = models.build("preact_resnet18", width=width)
    assert trainable_count(model) == count


@pytest.mark.parametrize(
    "classes, count", [(10, 11_171_146), (100, 11_217_316)]
)
def test_published_parameter_counts(classes, count):
    model = models.build("preact_resnet18", num_classes=classes)
    assert trainable_count(model) == count


def test_the_wide_one_is_the_other_at_twice_the_width():
    wide = models.build("preact_wide_resnet18", width=0.125)
    other = models.build("preact_resnet18", width=0.25)
    assert [v.shape for v in wide.weights] == [v.shape for v in other.weights]
    assert wide.name == "preact_wide_resnet18"


def test_dropout_only_when_asked():
    def rates(dropout):
        return dropout_rates(
            models.build("preact_resnet18", width=0.02, dropout=dropout)
        )

    assert rates(None) == []
    assert rates(0.1) == [0.1] * 8


def test_batch_norm_constants():
    model = models.build("preact_resnet18", width=0.125)
    norms = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert len(norms) == 16
    for layer in norms:
        assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
