"""The registry."""

import pytest

from noisymix_tf.errors import UsageError
from noisymix_tf.registry import Registry


def test_register_get_and_names_in_order():
    registry = Registry("fruit")
    registry.register("pear")(1)
    registry.register("apple")(2)
    assert registry.get("apple") == 2
    assert registry.names() == ("pear", "apple")
    assert registry.items() == (("pear", 1), ("apple", 2))


def test_unknown_and_double_names():
    registry = Registry("fruit")
    registry.register("pear")(1)
    with pytest.raises(UsageError, match=r"Unknown fruit 'fig'. Known: pear."):
        registry.get("fig")
    with pytest.raises(ValueError, match="'pear' is registered twice"):
        registry.register("pear")
