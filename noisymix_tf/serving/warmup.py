"""Requests that TensorFlow Serving answers before it takes any from outside.

They are `PredictionLog` protos of TensorFlow Serving, in a file of TFRecords.
The few fields that are needed are written here by their numbers, because the
package with those protos is of use to a client only.
"""

import os

import tensorflow as tf

from noisymix_tf.serving.signatures import CLASSIFY, SIGNATURES

PLACE = "assets.extra/tf_serving_warmup_requests"

# Numbers of fields in tensorflow_serving/apis/*.proto.
_LOG_CLASSIFY, _LOG_PREDICT = 2, 6  # PredictionLog
_REQUEST = 1  # PredictLog, ClassifyLog
_MODEL_SPEC, _INPUTS = 1, 2  # PredictRequest, ClassificationRequest
_NAME, _SIGNATURE_NAME = 1, 3  # ModelSpec
_KEY, _VALUE = 1, 2  # An entry of a map
_EXAMPLE_LIST, _EXAMPLES = 1, 1  # Input, ExampleList
_LENGTH_DELIMITED = 2  # Of strings, bytes and messages


def write(folder, signatures, examples, batch_sizes, model_name):
    """Writes one request of each size for each signature.

    Args:
        folder: `pathlib.Path` of the version.
        signatures: Names of the signatures that the SavedModel has.
        examples: `Examples` to send.
        batch_sizes: Numbers of images in a request.
        model_name: Name of the model in the requests.
    """
    place = folder / PLACE
    place.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(os.fspath(place)) as writer:
        for name in signatures:
            for size in batch_sizes:
                batch = examples.first(size)
                writer.write(prediction_log(name, batch, model_name))


def prediction_log(name, examples, model_name):
    """A serialised `PredictionLog` of one request.

    Args:
        name: Name of the signature.
        examples: `Examples` to send.
        model_name: Name of the model.

    Returns:
        bytes.
    """
    signature = SIGNATURES.get(name)
    spec = _field(_NAME, model_name) + _field(_SIGNATURE_NAME, name)
    request = _field(_MODEL_SPEC, spec)
    if signature.method == CLASSIFY:
        protos = b"".join(_field(_EXAMPLES, p) for p in examples.protos())
        request += _field(_INPUTS, _field(_EXAMPLE_LIST, protos))
        return _field(_LOG_CLASSIFY, _field(_REQUEST, request))
    for key, tensor in signature.encode(examples).items():
        proto = tf.make_tensor_proto(tensor.numpy()).SerializeToString()
        request += _field(_INPUTS, _field(_KEY, key) + _field(_VALUE, proto))
    return _field(_LOG_PREDICT, _field(_REQUEST, request))


def _field(number, content):
    """A string, bytes or message in the wire format of protocol buffers."""
    content = content.encode() if isinstance(content, str) else content
    tag = _varint(number << 3 | _LENGTH_DELIMITED)
    return tag + _varint(len(content)) + content


def _varint(value):
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
