"""Released perturbation sequences: CIFAR-10-P arrays and ImageNet-P videos."""

import functools
import sys
import threading

import numpy as np
import pytest

from noisymix_tf.data import stored
from noisymix_tf.data.released import perturbed_sequences
from support.released_sets import assert_holds, dataset, noise
from support.usage import assert_usage_error


def films_of(frames, number=7):
    """Red tells the sequence (tens) and the frame (ones), green too."""
    red = (30 * np.arange(number)[:, None] + np.arange(frames)).astype("u1")
    colours = np.stack([red, 255 - red, np.full_like(red, 90)], axis=-1)
    return np.tile(colours[:, :, None, None], (1, 1, 32, 32, 1))


def sequences_of(root, name="tilt", difficulty=1, side=32, **options):
    opened = perturbed_sequences(root, dataset(10, side), **options)
    return opened.sequences(name, difficulty)


def assert_films(sequences, films, labels, within=0):
    assert sequences.num_frames == films.shape[1]
    assert_holds(sequences, films, labels, within)


def refused(root, words, *what):
    assert_usage_error(lambda: sequences_of(root, *what), words)


def test_arrays(tmp_path):
    """Difficulties of noise are other files; else the metric skips frames."""
    stems = "speckle_noise gaussian_noise gaussian_noise_2 gaussian_noise_3"
    for frames, stem in enumerate((*stems.split(), "rotate")):
        np.save(tmp_path / f"{stem}.npy", films_of(frames + 2))
    large = noise(4, 5, 40, 40, 3)
    np.save(tmp_path / "tilt.npy", large)
    np.save(tmp_path / "labels.npy", [1, 0, 3, 2])  # Of others none is known.
    opened = perturbed_sequences(tmp_path, dataset(10))
    wanted = [*stems.split()[1:], "rotate", "tilt", "speckle_noise"]
    assert [*opened.places] == wanted and str(opened.preprocess) == "as_stored"
    for level in (1, 2, 3):
        noisy = opened.sequences("gaussian_noise", level)
        assert_films(noisy, films_of(level + 2), [-1] * 7)
        assert_films(opened.sequences("rotate", level), films_of(6), [-1] * 7)
    # Private: only mapped, so that memory holds one batch.
    assert isinstance(noisy._array, np.memmap)
    cropped = sequences_of(tmp_path, preprocess="crop32")
    assert_films(cropped, large[:, :, 4:36, 4:36], [1, 0, 3, 2])
    refused(tmp_path, "Difficulty 4 does not exist", "rotate", 4)
    refused(tmp_path, "lacks speckle_noise_2: add", "speckle_noise", 2)
    refused(tmp_path, "gaussian_noise_3, rotate, tilt, sp", "shot_noise")
    refused(tmp_path, "Unknown perturbation", "fog")


def test_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("x")
    refused(tmp_path, "notes.txt, no such set: give the directory of")
    (tmp_path / "tilt").mkdir()
    refused(tmp_path, "holds 0 class folders")
    (tmp_path / "tilt" / "n1").mkdir()
    refused(tmp_path, "holds no files (.mp4)")
    (tmp_path / "tilt" / "n1" / "a.mp4").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "av", None)  # Cannot be imported.
    refused(tmp_path, 'pip install "noisymix_tf[video]"')
    np.save(tmp_path / "tilt.npy", films_of(1))
    refused(tmp_path, "sequences of 1 frame")
    np.save(tmp_path / "tilt.npy", films_of(1)[:, 0])
    refused(tmp_path, "expected uint8 [N, T, H, W, 3] (suite p)")


def write_video(path, film):
    """Writes an MP4 that keeps all but the change of colour space."""
    av = pytest.importorskip("av", reason="PyAV, the extra video, is absent")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        options = {"qp": "0", "preset": "ultrafast"}
        stream = container.add_stream("libx264", rate=1, options=options)
        stream.height, stream.width = film.shape[1:3]
        stream.pix_fmt = "yuv444p"
        for frame in film:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def make_videos(root, frames=5, num=2):
    films = films_of(frames, number=2 * num)
    for place, film in enumerate(films):
        name = ("n01443537", "n01484850")[place // num]
        write_video(root / name / f"val_{place:08}.mp4", film)
    return films


@pytest.mark.parametrize("group", ["", "noise", "validation"])
def test_videos(group, tmp_path):
    root, name = tmp_path / group, "gaussian_noise"
    films = make_videos(root / name)
    stronger = make_videos(root / f"{name}_3", frames=4)
    opened = perturbed_sequences(tmp_path, dataset(1000))
    assert [*opened.places] == [name, f"{name}_3"]
    # Flat colours survive the way to YUV and back to within rounding.
    same = {"labels": [0, 0, 1, 1], "within": 3}
    assert_films(opened.sequences(name, 1), films, **same)
    assert_films(opened.sequences(name, 3), stronger, **same)
    small = sequences_of(tmp_path, name, side=16, preprocess="resize20-crop16")
    assert_films(small, films[:, :, :16, :16], **same)


def test_bad_videos_and_videos_ahead(tmp_path, monkeypatch):
    folder, film = tmp_path / "tilt" / "n01443537", noise(5, 32, 32, 3)
    write_video(folder / "a.mp4", film)
    bad = write_video(folder / "b.mp4", film)
    content = bytearray(bad.read_bytes())
    middle = (content.index(b"mdat") + content.index(b"moov")) // 2
    content[middle : middle + 400] = b"\xff" * 400
    for end in (0, middle, 100, None):  # Empty, half, a header, spoilt.
        bad.write_bytes(content[:end])
        batches = sequences_of(tmp_path).batches(2)
        assert_usage_error(functools.partial(list, batches), bad, "npack")
    root = tmp_path / "lengths"
    make_videos(root / "tilt")
    odd = root / "tilt" / "n01484850" / "val_00000002.mp4"
    write_video(odd, films_of(4)[0])
    batches = sequences_of(root).batches(1)
    next(batches), next(batches)
    words = f"{odd} is [4, 32, 32, 3]", ".mp4 [5, 32, 32, 3]: unpack"
    assert_usage_error(lambda: next(batches), *words)
    # Memory holds one batch; a reader that stops early leaves no threads.
    root = tmp_path / "many"
    make_videos(root / "tilt", num=12)
    read, real = [], stored._read_video
    patch, before = monkeypatch.setattr, threading.active_count()
    patch(stored, "_read_video", lambda path: read.append(path) or real(path))
    batches = sequences_of(root).batches(4)
    for taken in range(1, 4):
        assert next(batches)[0].shape == (4, 5, 32, 32, 3)
        assert len(read) <= 1 + 4 * taken  # The first tells the length.
    batches.close()
    assert threading.active_count() <= before
