"""One way to test that bad input is refused in one clear line."""

import pytest

from noisymix_tf.errors import UsageError


def assert_usage_error(call, *words):
    """`call()` raises `UsageError`: one line, returned, that has all words."""
    with pytest.raises(UsageError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line, line
    missing = [word for word in map(str, words) if word not in line]
    assert not missing, f"{missing} not in: {line}"
    return line
