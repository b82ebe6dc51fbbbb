"""The registry."""

import pytest

from noisymix_tf.registry import Registry
from support.usage import assert_usage_error


def test_names_are_found_in_order_and_once():
    registry = Registry("fruit")
    registry.register("pear")(1)
    registry.register("apple")(2)
    assert registry.get("apple") == 2
    assert registry.names() == ("pear", "apple")
    assert registry.items() == (("pear", 1), ("apple", 2))
    words = "Unknown fruit 'fig'. Known: pear, apple."
    assert_usage_error(lambda: registry.get("fig"), words)
    with pytest.raises(ValueError, match="'pear' is registered twice"):
        registry.register("pear")
