"""A small stand-in for TensorFlow Serving: its rules, without its wire.

Arguments go into the session past the checks of `Session.run`, which a server
does not have.
"""

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2


class Model:
    """A SavedModel in a session, and what it answers; warm."""

    def __init__(self, folder):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        load = tf.compat.v1.saved_model.load
        with self._session.graph.as_default():
            meta_graph = load(self._session, ["serve"], folder)
        self._session._extend_graph()
        self._signatures = meta_graph.signature_def
        warmup = f"{folder}/assets.extra/tf_serving_warmup_requests"
        self.warmups = []
        for record in tf.compat.v1.io.tf_record_iterator(warmup):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            request = getattr(log, log.WhichOneof("log_type")).request
            if log.HasField("classify_log"):
                examples = request.input.example_list.examples
                inputs = {"inputs": [e.SerializeToString() for e in examples]}
            else:
                values = map(tf.make_ndarray, request.inputs.values())
                inputs = dict(zip(request.inputs, values))
            assert request.model_spec.name == "kinds"
            name = request.model_spec.signature_name
            answers = self.ask(name, **inputs)
            if "inputs" in inputs:
                assert (answers["scores"][:, 0] > 0).all()
            self.warmups.append((name, len(next(iter(answers.values())))))

    def ask(self, name, **inputs):
        signature = self._signatures[name]

        def tensor(info):
            found = self._session.graph.get_tensor_by_name(info.name)
            return found._as_tf_output()

        feeds = {}
        for key, value in inputs.items():
            value = tf.make_ndarray(tf.make_tensor_proto(value))
            feeds[tensor(signature.inputs[key])] = value
        fetches = map(tensor, signature.outputs.values())
        call = self._session._call_tf_sessionrun
        found = call(None, feeds, [*fetches], [], None)
        return dict(zip(signature.outputs, found))
