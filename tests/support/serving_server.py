"""A small stand-in for TensorFlow Serving, in a process of its own.

python serving_server.py SAVED_MODEL

As the server does, it loads the SavedModel into a session, answers the warm-up
requests, and then serves `PredictionService` on a free port of the loopback,
which it prints. Arguments go into the session as they come, past the checks of
`Session.run`, which are in Python and which a server does not have. The rules
of Predict and Classify are those of `predict_util.cc` and `classifier.cc` of
TensorFlow Serving. It knows nothing of this package.
"""

import pathlib
import sys
from concurrent import futures

sys.modules["noisymix_tf"] = None
sys.modules["keras"] = None

import grpc  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    classification_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Refused(Exception):
    """The request is not one of the model's."""


class Model:
    """A SavedModel in a session, and what it answers."""

    def __init__(self, folder):
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            meta_graph = tf.compat.v1.saved_model.load(
                self._session, ["serve"], folder
            )
        self._session._extend_graph()
        self.signatures = meta_graph.signature_def
        warmup = f"{folder}/assets.extra/tf_serving_warmup_requests"
        self.warmups = 0
        for record in tf.compat.v1.io.tf_record_iterator(warmup):
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") == "classify_log":
                self.classify(log.classify_log.request)
            else:
                self.predict(log.predict_log.request)
            self.warmups += 1

    def predict(self, request):
        signature = self._signature(request, (PREDICT, CLASSIFY))
        if set(request.inputs) != set(signature.inputs):
            raise Refused(
                f"inputs {sorted(request.inputs)} do not match the signature's "
                f"{sorted(signature.inputs)}"
            )
        feed = {
            signature.inputs[key].name: tf.make_ndarray(proto)
            for key, proto in request.inputs.items()
        }
        wanted = list(request.output_filter) or sorted(signature.outputs)
        values = self._run(signature, wanted, feed)
        response = predict_pb2.PredictResponse()
        for key, value in zip(wanted, values):
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def classify(self, request):
        signature = self._signature(request, (CLASSIFY,))
        if set(signature.inputs) != {"inputs"} or len(signature.outputs) > 2:
            raise Refused("expected one input Tensor, one or two outputs")
        examples = request.input.example_list.examples
        protos = [example.SerializeToString() for example in examples]
        names, scores = self._run(
            signature,
            ["classes", "scores"],
            {signature.inputs["inputs"].name: np.array(protos, object)},
        )
        assert names.shape == scores.shape and scores.dtype == "float32"
        response = classification_pb2.ClassificationResponse()
        for row in zip(names, scores):
            found = response.result.classifications.add()
            for name, score in zip(*row):
                found.classes.add(label=name.decode(), score=score)
        return response

    def _signature(self, request, methods):
        name = request.model_spec.signature_name or "serving_default"
        if name not in self.signatures:
            raise Refused(f'Serving signature key "{name}" not found.')
        signature = self.signatures[name]
        if signature.method_name not in methods:
            raise Refused(f"method_name is {signature.method_name}")
        return signature

    def _run(self, signature, wanted, feed):
        tensor = self._session.graph.get_tensor_by_name
        fetches = [
            tensor(signature.outputs[key].name)._as_tf_output()
            for key in wanted
        ]
        feeds = {tensor(k)._as_tf_output(): v for k, v in feed.items()}
        return self._session._call_tf_sessionrun(None, feeds, fetches, [], None)


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The calls of clients, with errors as their status."""

    def __init__(self, model):
        self._model = model

    def Predict(self, request, context):
        return self._answer(self._model.predict, request, context)

    def Classify(self, request, context):
        return self._answer(self._model.classify, request, context)

    def _answer(self, function, request, context):
        try:
            return function(request)
        except tf.errors.OpError as error:
            context.abort(INVALID, error.message)
        except (Refused, ValueError, TypeError) as error:
            context.abort(INVALID, str(error))


def main(folder):
    model = Model(folder)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Service(model), server
    )
    port = server.add_insecure_port("localhost:0")
    server.start()
    print(port, model.warmups, flush=True)
    # Until the one who started it goes.
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1])))
