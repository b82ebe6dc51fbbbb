"""A small stand-in for TensorFlow Serving: its rules, without its wire.

Arguments go into the session past the checks of `Session.run`, which a server
does not have. The rules of Predict and Classify are those of `predict_util.cc`
and `classifier.cc` of TensorFlow Serving; wrong requests are `ERRORS`.
"""

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2 as classification
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
ERRORS = tf.errors.OpError, ValueError, TypeError


class Model:
    """A SavedModel in a session, and what it answers; warm."""

    def __init__(self, folder):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        load = tf.compat.v1.saved_model.load
        with self._session.graph.as_default():
            meta_graph = load(self._session, ["serve"], folder)
        self._session._extend_graph()
        self.signatures = meta_graph.signature_def
        warmup = f"{folder}/assets.extra/tf_serving_warmup_requests"
        self.warmups = []
        for record in tf.compat.v1.io.tf_record_iterator(warmup):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") == "classify_log":
                request = log.classify_log.request
                answer = self.classify(request).result.classifications
                assert all(row.classes[0].score > 0 for row in answer)
            else:
                request = log.predict_log.request
                outputs = self.predict(request).outputs
                (answer, *_) = map(tf.make_ndarray, outputs.values())
            assert request.model_spec.name == "kinds"
            name = request.model_spec.signature_name
            self.warmups.append((name, len(answer)))

    def predict(self, request):
        signature = self._signature(request, (PREDICT, CLASSIFY))
        if set(request.inputs) != set(signature.inputs):
            raise ValueError(f"inputs {set(request.inputs)} do not match")
        tensors = request.inputs.items()
        names = {key: signature.inputs[key].name for key in request.inputs}
        feed = {names[key]: tf.make_ndarray(value) for key, value in tensors}
        wanted = list(request.output_filter) or sorted(signature.outputs)
        response = predict_pb2.PredictResponse()
        for key, value in zip(wanted, self._run(signature, wanted, feed)):
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def classify(self, request):
        signature = self._signature(request, (CLASSIFY,))
        if set(signature.inputs) != {"inputs"} or len(signature.outputs) > 2:
            raise ValueError("expected one input Tensor, one or two outputs")
        examples = request.input.example_list.examples
        protos = [example.SerializeToString() for example in examples]
        feed = {signature.inputs["inputs"].name: np.array(protos, object)}
        names, scores = self._run(signature, ["classes", "scores"], feed)
        assert names.shape == scores.shape and scores.dtype == "float32"
        response = classification.ClassificationResponse()
        for row in zip(names, scores):
            found = response.result.classifications.add()
            for name, score in zip(*row):
                found.classes.add(label=name.decode(), score=score)
        return response

    def _signature(self, request, methods):
        name = request.model_spec.signature_name or "serving_default"
        if name not in self.signatures:
            raise ValueError(f"no signature {name}")
        signature = self.signatures[name]
        if signature.method_name not in methods:
            raise ValueError(f"method_name is {signature.method_name}")
        return signature

    def _run(self, signature, wanted, feed):
        tensor = self._session.graph.get_tensor_by_name
        outputs = [signature.outputs[key].name for key in wanted]
        fetches = [tensor(name)._as_tf_output() for name in outputs]
        feeds = {tensor(k)._as_tf_output(): v for k, v in feed.items()}
        return self._session._call_tf_sessionrun(None, feeds, fetches, [], None)
