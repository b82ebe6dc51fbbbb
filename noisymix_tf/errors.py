"""The error of a user's input, as opposed to a defect of ours."""


class UsageError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the value, what was expected, and what
    to do. The command-line doors print it and exit with status 2; in Python it
    is an ordinary `ValueError`.
    """

    # TensorFlow and Keras wrap errors that come out of a traced function or a
    # layer's call in pages of their own, unless they bear these marks.
    ag_pass_through = True
    _keras_call_info_injected = True
