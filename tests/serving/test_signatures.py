"""An export in the hands of those who know nothing of this package."""

import concurrent.futures
import io
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.serving import SIGNATURES
from noisymix_tf.serving.image_bytes import MAX_PIXELS
from support import ROOT
from support.served import BATCHES, NAMES, PREPROCESS, encoded


def probabilities(model, pixels):
    """What an evaluation would find for decoded pixels `[h, w, 3]`."""
    image = Preprocess.parse(PREPROCESS).apply(pixels)
    return tf.nn.softmax(model(image[None], training=False)).numpy()


def images_of_all_kinds(photograph):
    """Name -> (file, RGB pixels that Pillow finds in it)."""
    rgb = Image.fromarray(photograph)
    alpha = Image.fromarray(photograph[..., 0])
    turned = Image.Exif()
    turned[0x112] = 6
    files = {
        "jpeg": encoded(rgb, "JPEG", quality=90),
        "progressive": encoded(rgb, "JPEG", progressive=True),
        "png": encoded(rgb, "PNG"),
        "grey jpeg": encoded(rgb.convert("L"), "JPEG"),
        "grey png": encoded(rgb.convert("L"), "PNG"),
        "one bit": encoded(rgb.convert("1"), "PNG"),
        "palette": encoded(rgb.quantize(16), "PNG"),
        "alpha": encoded(Image.merge("RGBA", (*rgb.split(), alpha)), "PNG"),
        "grey alpha": encoded(rgb.convert("LA"), "PNG"),
        "cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "turned": encoded(rgb, "JPEG", exif=turned),
        "1 x 1": encoded(rgb.crop((0, 0, 1, 1)), "PNG"),
        "10 x 10000": encoded(rgb.resize((10000, 10)), "PNG"),
        "10000 x 10": encoded(rgb.resize((10, 10000)), "JPEG"),
    }
    kinds = {
        name: (file, np.asarray(Image.open(io.BytesIO(file)).convert("RGB")))
        for name, file in files.items()
    }
    for name, pixels in (("", photograph), (" grey", photograph[..., :1])):
        file = tf.io.encode_png(pixels.astype(np.uint16) * 257).numpy()
        kinds["16 bit" + name] = file, np.broadcast_to(pixels, photograph.shape)
    return kinds


def test_every_kind_of_image_is_what_pillow_and_the_evaluation_make_of_it(
    model, loaded, photograph
):
    kinds = images_of_all_kinds(photograph)
    results = loaded.signatures["serving_bytes"](
        image_bytes=tf.constant([file for file, _ in kinds.values()])
    )
    found = results["probabilities"].numpy()
    assert np.ptp(found, axis=0).max() > 0.1  # Images matter.
    for (name, (_, pixels)), row in zip(kinds.items(), found):
        wanted = probabilities(model, pixels)[0]
        np.testing.assert_allclose(row, wanted, atol=1e-5, err_msg=name)


def chunk(kind, content):
    checked = kind + content
    length = len(content).to_bytes(4)
    return length + checked + zlib.crc32(checked).to_bytes(4)


def claiming(width, height, before=b""):
    """A PNG file of few bytes that claims to be large."""
    size = width.to_bytes(4) + height.to_bytes(4)
    header = chunk(b"IHDR", size + b"\x08\x02\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + before + header


def bad_images(photograph):
    """Files, and what the message says of each."""
    rgb = Image.fromarray(photograph)
    jpeg, png = encoded(rgb, "JPEG"), encoded(rgb, "PNG")
    # A frame larger than the screen that the file claims.
    gif = bytearray(encoded(rgb.quantize(4), "GIF"))
    assert int.from_bytes(gif[6:8], "little") == photograph.shape[1]
    gif[6:10] = (32).to_bytes(2, "little") * 2
    # Where the size is expected, another chunk, which the decoder goes past.
    other = chunk(b"abCd", (32).to_bytes(4) * 2 + bytes(5))
    damaged, many = "damaged or cut short", "too many pixels"
    unknown = "no JPEG or PNG"
    return [
        (b"", "it is empty"),
        (b"hello", unknown),
        (encoded(rgb, "BMP"), unknown),
        (encoded(rgb, "GIF"), unknown),
        (bytes(gif), unknown),
        (claiming(2**15, 2**15, other), unknown),
        (jpeg[: len(jpeg) // 2], damaged),
        (jpeg[:-2], damaged),
        (png[: len(png) // 2], damaged),
        (png[:20], damaged),
        (claiming(0, 5), damaged),
        (claiming(2**31 - 1, 2**31 - 1), many),
        (claiming(MAX_PIXELS + 1, 1), many),
        (claiming(2**14, 2**14), many),
        (claiming(2**20, 1), many),  # when it is resized
    ]


def example(content, key="image/encoded"):
    proto = tf.train.Example()
    proto.features.feature[key].bytes_list.value.append(content)
    return proto.SerializeToString()


@pytest.mark.parametrize(
    "signature, argument",
    [("serving_bytes", "image_bytes"), ("tf_example", "inputs")],
)
def test_a_bad_image_is_named(loaded, photograph, signature, argument):
    """A small file must not make the server allocate a large image."""
    good = encoded(Image.fromarray(photograph), "PNG")
    cases = bad_images(photograph)
    if signature == "tf_example":
        good = example(good)
        cases = [(example(file), words) for file, words in cases]
        cases.append((example(b"", "image"), "empty"))
        cases.append((b"no example", "damaged or cut short"))
    requests = [([good, good, file, good], words) for file, words in cases]
    if signature == "serving_bytes":
        requests.append(([], "no image in the"))
    for files, words in requests:
        with pytest.raises(tf.errors.InvalidArgumentError) as error:
            sent = tf.constant(files, tf.string)
            loaded.signatures[signature](**{argument: sent})
        start = "Image 2 of 4 (counted from 0) cannot be used: "
        assert not files or start in str(error.value), words
        assert words in str(error.value)


def test_what_a_server_warms_up_with_and_batches(served):
    protos = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    place = served.path / "assets.extra" / "tf_serving_warmup_requests"
    found = []
    for record in tf.data.TFRecordDataset(str(place)).as_numpy_iterator():
        log = protos.PredictionLog.FromString(record)
        assert log.SerializeToString() == record  # No field is unknown.
        if log.WhichOneof("log_type") == "classify_log":
            request = log.classify_log.request
            examples = request.input.example_list.examples
            sizes = {len(examples)}
            assert all("image/encoded" in e.features.feature for e in examples)
        else:
            request = log.predict_log.request
            sizes = {len(tf.make_ndarray(t)) for t in request.inputs.values()}
        assert request.model_spec.name == "kinds"
        found += [(request.model_spec.signature_name, size) for size in sizes]
    assert sorted(found) == sorted(
        (name, size) for name in SIGNATURES.names() for size in BATCHES
    )
    assert (served.path / "batching_params.pbtxt").read_text() == (
        "max_batch_size { value: 4 }\n"
        "allowed_batch_sizes: 1\nallowed_batch_sizes: 4\n"
    )


def test_another_runtime_gives_the_same_probabilities(
    model, served, photograph
):
    openvino = pytest.importorskip("openvino")
    # It would compute in bfloat16 where the processor can.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    run = openvino.Core().compile_model(str(served.path), "CPU", exact)
    pixels = np.stack([photograph[i : i + 32, i : i + 32] for i in range(3)])
    found = run(pixels)["probabilities"]
    wanted = tf.nn.softmax(model(pixels)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.fixture(scope="module")
def client(served):
    """A stub of a server's PredictionService, in a process of its own."""
    grpc = pytest.importorskip("grpc")
    name = "tensorflow_serving.apis.prediction_service_pb2_grpc"
    apis = pytest.importorskip(name)
    script = ROOT / "tests/support/serving_server.py"
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    pipes["stderr"] = subprocess.DEVNULL
    line = [sys.executable, script, served.path]
    with subprocess.Popen(line, **pipes, text=True) as server:
        port, warmups = server.stdout.readline().split()
        assert int(warmups) == len(SIGNATURES.names()) * len(BATCHES)
        with grpc.insecure_channel(f"localhost:{port}") as channel:
            yield apis.PredictionServiceStub(channel)
            assert server.poll() is None  # It has outlived all bad requests.
        server.stdin.close()


def predict(client, signature, **inputs):
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "kinds"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    outputs = client.Predict(request, timeout=60).outputs
    return {name: tf.make_ndarray(proto) for name, proto in outputs.items()}


@pytest.mark.slow
def test_classify(model, client, photograph):
    from tensorflow_serving.apis import classification_pb2

    request = classification_pb2.ClassificationRequest()
    request.model_spec.signature_name = "tf_example"
    file = encoded(Image.fromarray(photograph), "PNG")
    for _ in range(2):
        request.input.example_list.examples.add().ParseFromString(example(file))
    result = client.Classify(request, timeout=60).result
    wanted = probabilities(model, photograph)[0]
    assert len(result.classifications) == 2
    for found in result.classifications:
        scores = [c.score for c in found.classes]
        np.testing.assert_allclose(scores, np.sort(wanted)[:-6:-1], atol=1e-5)
        numbers = [NAMES.index(c.label) for c in found.classes]
        np.testing.assert_allclose(scores, wanted[numbers], atol=1e-5)


def wrong_requests(photograph):
    """Requests that no model could answer."""
    pixels = photograph[None, :32, :32]
    good = encoded(Image.fromarray(photograph), "JPEG")
    requests = [
        ("serving_default", {"images": pixels.astype(np.float32)}),
        ("serving_default", {"images": pixels[0]}),
        ("serving_default", {"images": pixels[..., :1]}),
        ("features", {"images": pixels[0, 0]}),
        ("serving_default", {"images": photograph[None]}),
        ("serving_default", {"image": pixels}),
        ("serving_float", {"images": pixels}),
        ("serving_bytes", {"image_bytes": pixels}),
        ("serving_bytes", {"image_bytes": [[b"a"], [b"b"]]}),
        ("tf_example", {"inputs": [b"no example"]}),
        ("no_such_signature", {"images": pixels}),
    ]
    return [(*request, "") for request in requests] + [
        ("serving_bytes", {"image_bytes": [good, file]}, words)
        for file, words in bad_images(photograph)
    ]


@pytest.mark.slow
def test_a_thousand_good_and_bad_requests_from_eight_threads(
    model, client, photograph
):
    """A wrong one gets an answer, and hurts none beside or after it."""
    import grpc

    # Small ones: it is about mixing them.
    good = [
        ("serving_bytes", {"image_bytes": [file]}, probabilities(model, pixels))
        for file, pixels in images_of_all_kinds(photograph).values()
        if pixels.size < 20_000
    ]
    pixels = photograph[None, :32, :32]
    wanted = tf.nn.softmax(model(pixels)).numpy()
    good += [
        ("serving_default", {"images": pixels}, wanted),
        ("serving_float", {"images": pixels.astype(np.float32)}, wanted),
    ]
    bad = wrong_requests(photograph)
    rng = np.random.default_rng(0)
    requests = [*good, *bad] + [
        sort[rng.integers(len(sort))]
        for sort in (good if rng.random() < 0.5 else bad for _ in range(1000))
    ]

    def send(request):
        signature, inputs, wanted = request
        try:
            found = predict(client, signature, **inputs)["probabilities"]
        except grpc.RpcError as error:
            return (
                error.code() == grpc.StatusCode.INVALID_ARGUMENT
                and isinstance(wanted, str)
                and wanted in error.details()
            )
        return np.allclose(found, wanted, atol=1e-5)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(send, requests))
