"""An export in the hands of those who know nothing of this package."""

import io
import zlib
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.serving import signatures
from noisymix_tf.serving.signatures import MAX_PIXELS, MAX_SCANS, SIGNATURES
from support import pages
from support.served import BATCHES, NAMES, PREPROCESS, encoded


def probabilities(model, pixels):
    image = Preprocess.parse(PREPROCESS).apply(pixels)
    return tf.nn.softmax(model(image[None], training=False)).numpy()


def images_of_all_kinds(photograph):
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


def test_every_kind_of_image_is_what_pillow_makes(model, loaded, photograph):
    kinds = images_of_all_kinds(photograph)
    found = loaded.signatures["serving_bytes"](
        image_bytes=tf.constant([file for file, _ in kinds.values()])
    )["probabilities"].numpy()
    assert np.ptp(found, axis=0).max() > 0.1  # Images matter.
    for (name, (_, pixels)), row in zip(kinds.items(), found):
        wanted = probabilities(model, pixels)[0]
        np.testing.assert_allclose(row, wanted, atol=1e-5, err_msg=name)


def chunk(kind, content):
    checked = kind + content
    return len(content).to_bytes(4) + checked + zlib.crc32(checked).to_bytes(4)


def claiming(width, height, before=b""):
    size = width.to_bytes(4) + height.to_bytes(4)
    header = chunk(b"IHDR", size + b"\x08\x02\0\0\0")
    return b"\x89PNG\r\n\x1a\n" + before + header


def bad_images(photograph):
    rgb = Image.fromarray(photograph)
    jpeg, png = encoded(rgb, "JPEG"), encoded(rgb, "PNG")
    # Where the size is expected, another chunk, which the decoder goes past.
    other = chunk(b"abCd", (32).to_bytes(4) * 2 + bytes(5))
    # Files that claim two sizes, of which a decoder might take the second.
    frame = jpeg.index(b"\xff\xc0")
    two = png[:33] + claiming(2**15, 2**15)[8:] + png[33:]
    # As many pixels as the file says, once more for each scan of few bytes.
    slow = encoded(rgb, "JPEG", progressive=True)
    last = slow.rindex(b"\xff\xda")
    slow = slow[:last] + slow[last:-2] * MAX_SCANS + b"\xff\xd9"
    unknown, large = "not JPEG or PNG", "too large"
    return [
        (b"", "empty"),
        (encoded(rgb, "GIF"), unknown),
        (claiming(2**15, 2**15, other), unknown),
        (jpeg[:-2], "damaged"),
        (jpeg[:frame] + jpeg[frame:][:19] + jpeg[frame:], "damaged"),
        (png[: len(png) // 2], "damaged"),
        (two, "damaged"),
        (claiming(2**31, 5), "damaged"),
        (claiming(2**31 - 1, 2**31 - 1), large),
        (claiming(MAX_PIXELS + 1, 1), large),
        (claiming(2**20, 1), large),  # when it is resized
        (jpeg[: frame + 5] + b"\x40\0\x40\0" + jpeg[frame + 9 :], large),
        (slow, large),
    ]


def example(content, key="image/encoded"):
    proto = tf.train.Example()
    proto.features.feature[key].bytes_list.value.append(content)
    return proto.SerializeToString()


def test_a_bad_image_hurts_none_beside_it(model, loaded, photograph):
    """A server joins requests: all failed, of all clients, for one bad file."""
    files, wanted = zip(*bad_images(photograph))
    good = encoded(Image.fromarray(photograph), "PNG")
    sent = [x for file in files for x in (file, good)]
    status = [s for word in wanted for s in (word.encode(), b"ok")]
    serve = loaded.signatures["serving_bytes"]
    names = "probabilities logits scores classes labels".split()
    for batch in (sent, sent[:1]):
        found = serve(image_bytes=tf.constant(batch))
        np.testing.assert_array_equal(found["status"], status[: len(batch)])
        for name, nothing in zip(names, [np.nan] * 3 + [-1, b""]):
            bad = found[name][::2].numpy()
            np.testing.assert_array_equal(bad, np.full(bad.shape, nothing))
        rows = found["probabilities"][1::2]
        expected = np.repeat(probabilities(model, photograph), len(rows), 0)
        np.testing.assert_allclose(rows, expected, atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="no image in"):
        serve(tf.constant([], tf.string))
    # As wide as it was while its height is resized, before its width is.
    wide = [tf.constant([claiming(2**16, 2**10)]), lambda content: content]
    found = signatures.read_images(*wide, Preprocess(resize=512), (512, 512, 3))
    assert found[1] == [b"too large"]
    # Classify has names and scores only.
    protos = [example(file) for file in sent]
    protos += [example(good, "image"), b"no example"]
    status += [b"empty", b"damaged"]
    named = loaded.signatures["tf_example"](inputs=tf.constant(protos))
    is_good = np.isfinite(named["scores"][:, 0])
    np.testing.assert_array_equal(is_good, np.array(status) == b"ok")
    (row,) = probabilities(model, photograph)
    best = np.argsort(-row)[:5]
    rows = named["scores"].numpy()[is_good]
    np.testing.assert_allclose(rows, [row[best]] * len(rows), atol=1e-5)
    for names, word in zip(named["classes"].numpy(), status):
        known = [NAMES[c].encode() for c in best]
        assert names.tolist() == (known if word == b"ok" else [word] * 5)


def test_another_runtime_gives_equal_probabilities(model, served, photograph):
    openvino = pytest.importorskip("openvino")
    # It would compute in bfloat16 where the processor can.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    run = openvino.Core().compile_model(str(served.path), "CPU", exact)
    pixels = np.stack([photograph[i : i + 32, i : i + 32] for i in range(3)])
    found = run(pixels)["probabilities"]
    wanted = tf.nn.softmax(model(pixels)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.fixture(scope="module")
def server(served):
    pytest.importorskip("tensorflow_serving.apis.predict_pb2")
    from support.serving_server import Model

    return Model(str(served.path))


def test_what_a_server_warms_up_with_and_batches(served, server):
    wanted = [(name, size) for name in SIGNATURES for size in BATCHES]
    assert sorted(server.warmups) == sorted(wanted)
    sizes = "allowed_batch_sizes: 1\nallowed_batch_sizes: 4\n"
    written = (served.path / "batching_params.pbtxt").read_text()
    assert written == "max_batch_size { value: 4 }\n" + sizes


def test_what_no_model_could_answer_is_an_error(model, server, photograph):
    """It was answered, or ended the process: a server checks no shapes."""
    pixels = photograph[None, :32, :32]
    floats = pixels.astype(np.float32)
    for name, sent in (
        ("serving_default", {"images": photograph[None]}),
        ("serving_default", {"images": floats}),
        ("serving_default", {"images": pixels[0]}),
        ("features", {"images": pixels[0, 0]}),
        ("serving_float", {"images": pixels}),
        ("serving_bytes", {"image_bytes": [[b"a"], [b"b"]]}),
    ):
        with pytest.raises((tf.errors.OpError, ValueError, TypeError)):
            server.ask(name, **sent)
    wanted = tf.nn.softmax(model(pixels)).numpy()
    found = server.ask("serving_float", images=floats)["probabilities"]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.slow
def test_the_client_that_is_shown_asks_a_server(server, tmp_path, monkeypatch):
    grpc = pytest.importorskip("grpc")
    from tensorflow_serving.apis import predict_pb2 as messages
    from tensorflow_serving.apis import prediction_service_pb2_grpc as service

    class Service(service.PredictionServiceServicer):
        def Predict(self, request, context):
            inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            found = server.ask(request.model_spec.signature_name, **inputs)
            response = messages.PredictResponse()
            for name, value in found.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    listening = grpc.server(futures.ThreadPoolExecutor(1))
    service.add_PredictionServiceServicer_to_server(Service(), listening)
    port = listening.add_insecure_port("localhost:0")
    listening.start()
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32)).save("seven.png")
    names = {}
    exec(pages.example("grpc.insecure_channel", **{"8500": str(port)}), names)
    listening.stop(None)
    assert tf.make_ndarray(names["outputs"]["status"]) == [b"ok"]
