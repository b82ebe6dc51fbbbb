"""Released perturbation sequences: CIFAR-10-P arrays and ImageNet-P videos."""

import builtins
import threading

import numpy as np
import pytest

from noisymix_tf import corruption_sets, corruptions, data
from noisymix_tf.data.released import perturbed_sequences
from noisymix_tf.errors import UsageError
from support.released_sets import dataset, noise

N = 7


def films_of(frames, number=N, side=32):
    """A pixel tells the sequence (tens) and the frame (ones)."""
    tens, ones = np.meshgrid(range(number), range(frames), indexing="ij")
    values = (30 * tens + ones).astype(np.uint8)[..., None, None, None]
    return np.broadcast_to(values, [number, frames, side, side, 3])


def collect(sequences, batch_size=3):
    batches = list(sequences.batches(batch_size))
    assert all(batch.dtype == np.uint8 for batch in batches)
    return np.concatenate(batches), [len(batch) for batch in batches]


def error(function, *arguments, **keywords):
    with pytest.raises(UsageError) as caught:
        function(*arguments, **keywords)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Arrays


@pytest.mark.parametrize(
    ("name", "frames"), [("tilt", 31), ("motion_blur", 21), ("translate", 16)]
)
def test_arrays(name, frames, tmp_path):
    np.save(tmp_path / f"{name}.npy", films_of(frames))
    opened = perturbed_sequences(tmp_path, dataset(10))
    assert opened.names == (name,) and opened.layout == "arrays"
    assert opened.source == "released"
    assert opened.description.endswith("preprocess as_stored")
    sequences = opened.sequences(name, 1)
    assert len(sequences) == N and sequences.num_frames == frames
    assert sequences.image_shape == (32, 32, 3)
    assert sequences.labels is None
    films, sizes = collect(sequences)
    assert sizes == [3, 3, 1]
    np.testing.assert_array_equal(films, films_of(frames))
    part = sequences.subset([5, 1]).subset(range(1))
    np.testing.assert_array_equal(collect(part)[0], films_of(frames)[[5]])
    assert isinstance(sequences._films, np.memmap)


def test_difficulties(tmp_path):
    """Of noise they are other files; else the metric skips frames."""
    for stem, frames in (
        ("gaussian_noise", 2),
        ("gaussian_noise_2", 3),
        ("gaussian_noise_3", 4),
        ("rotate", 5),
    ):
        np.save(tmp_path / f"{stem}.npy", films_of(frames))
    opened = perturbed_sequences(tmp_path, dataset(10))
    assert opened.names == ("gaussian_noise", "rotate")
    for level in (1, 2, 3):
        noisy = opened.sequences("gaussian_noise", level)
        assert noisy.num_frames == level + 1
        assert opened.sequences("rotate", level).num_frames == 5
    assert "Difficulty 4 does not exist" in error(opened.sequences, "rotate", 4)


def test_names_are_in_the_order_of_the_benchmark(tmp_path):
    for name in corruptions.perturbation_names("cifar")[::-1]:
        np.save(tmp_path / f"{name}.npy", films_of(2, number=1))
    opened = perturbed_sequences(tmp_path, dataset(10))
    assert set(opened.names) == set(corruptions.perturbation_names("cifar"))
    order = corruptions.perturbation_names()
    assert list(opened.names) == sorted(opened.names, key=order.index)


def test_another_preprocess(tmp_path):
    films = noise(3, 4, 40, 40, 3)
    np.save(tmp_path / "tilt.npy", films)
    opened = perturbed_sequences(tmp_path, dataset(10), preprocess="crop32")
    made, _ = collect(opened.sequences("tilt", 1), 2)
    np.testing.assert_array_equal(made, films[:, :, 4:36, 4:36])
    stored = perturbed_sequences(tmp_path, dataset(10))
    message = error(stored.sequences, "tilt", 1)
    assert "40 x 40" in message and "give another preprocess" in message


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros([3, 1, 32, 32, 3], np.uint8), "sequences of 1 frame"),
        (np.zeros([15, 32, 32, 3], np.uint8), "images, for suite c"),
        (np.zeros([3, 4, 32, 32, 3]), "float64"),
        (np.zeros([3, 4, 3, 32, 32], np.uint8), "the channels come first"),
        (np.array([{}] * 3), "is refused"),
    ],
    ids=["frame", "corruptions", "floats", "channels", "pickle"],
)
def test_arrays_of_another_kind(array, words, tmp_path):
    np.save(tmp_path / "tilt.npy", array, allow_pickle=True)
    opened = perturbed_sequences(tmp_path, dataset(10))
    message = error(opened.sequences, "tilt", 1)
    assert "tilt.npy" in message and words in message


def test_missing_files(tmp_path):
    missing = tmp_path / "nowhere"
    assert "does not exist" in error(perturbed_sequences, missing, dataset(10))
    (tmp_path / "notes.txt").write_text("x")
    message = error(perturbed_sequences, tmp_path, dataset(10))
    assert "it holds notes.txt; give the directory of CIFAR-10-P" in message
    np.save(tmp_path / "shot_noise.npy", films_of(3))
    path = tmp_path / "tilt.npy"
    np.save(path, films_of(3))
    path.write_bytes(path.read_bytes()[:5_000])
    opened = perturbed_sequences(tmp_path, dataset(10))
    assert "it is cut short" in error(opened.sequences, "tilt", 1)
    message = error(opened.sequences, "shot_noise", 2)
    assert "lacks shot_noise_2.npy" in message
    assert "(shot_noise, tilt)" in message
    assert "Unknown perturbation" in error(opened.sequences, "fog", 1)


def test_what_this_package_writes_is_read_back(tmp_path):
    digits = data.load("digits", test_examples=6)
    for difficulty in (1, 2):
        corruption_sets.write(
            digits,
            tmp_path / str(difficulty),
            suite="p",
            names=["shot_noise", "translate"],
            difficulty=difficulty,
            seed=5,
            progress=False,
        )
        opened = perturbed_sequences(tmp_path / str(difficulty), digits)
        assert opened.source == "generated"
        assert "from digits, seed 5" in opened.description
        for name in ("shot_noise", "translate"):
            sequences = opened.sequences(name, difficulty)
            expected = corruptions.perturb(
                digits.test.images, name, seed=5, difficulty=difficulty
            )
            np.testing.assert_array_equal(collect(sequences)[0], expected)
            assert sequences.labels.tolist() == digits.test.labels.tolist()
            part = sequences.subset([4])
            assert part.labels.tolist() == [digits.test.labels[4]]


def test_a_set_of_corruptions_is_refused(tmp_path):
    digits = data.load("digits", test_examples=3)
    corruption_sets.write(digits, tmp_path, names=["fog"], progress=False)
    message = error(perturbed_sequences, tmp_path, digits)
    assert "holds sets of suite c, not of p" in message


# Videos


@pytest.fixture(scope="module")
def av():
    return pytest.importorskip("av", reason="PyAV, the extra video, is absent")


def write_video(av, path, films):
    """An MP4 that keeps every pixel, apart from the change of colour space."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        options = {"qp": "0", "preset": "ultrafast"}
        stream = container.add_stream("libx264", rate=1, options=options)
        stream.height, stream.width = films.shape[1:3]
        stream.pix_fmt = "yuv444p"
        for frame in films:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def make_videos(av, root, frames=5, classes=("n01443537", "n01484850"), num=2):
    films = films_of(frames, number=len(classes) * num)
    for place, film in enumerate(films):
        name = f"ILSVRC2012_val_{place:08}.mp4"
        write_video(av, root / classes[place // num] / name, film)
    return films


@pytest.mark.parametrize("group", ["", "noise", "validation"])
def test_videos(av, group, tmp_path):
    films = make_videos(av, tmp_path / group / "gaussian_noise")
    stronger = make_videos(av, tmp_path / group / "gaussian_noise_3", frames=4)
    opened = perturbed_sequences(tmp_path, dataset(1000))
    assert opened.names == ("gaussian_noise",) and opened.layout == "videos"
    assert "released videos" in opened.description
    for level, expected in ((1, films), (3, stronger)):
        sequences = opened.sequences("gaussian_noise", level)
        assert len(sequences) == 4
        assert sequences.num_frames == expected.shape[1]
        assert sequences.labels.tolist() == [0, 0, 1, 1]
        made, sizes = collect(sequences)
        assert sizes == [3, 1]
        # Flat colours survive the way to YUV and back to within rounding.
        assert np.abs(made - expected.astype(float)).max() <= 3
        part = sequences.subset(np.array([3, 0]))
        assert part.labels.tolist() == [1, 0]
        np.testing.assert_array_equal(collect(part)[0], made[[3, 0]])
    message = error(opened.sequences, "gaussian_noise", 2)
    assert "lacks gaussian_noise_2/<class>/*.mp4" in message


def test_colours_and_order_of_frames(av, tmp_path):
    """Red, green and blue come back in this order, in the right frames."""
    colours = [[200, 20, 30], [10, 190, 40], [20, 30, 210]]
    film = (
        np.zeros([3, 32, 48, 3], np.uint8)
        + np.array(colours, np.uint8)[:, None, None]
    )
    write_video(av, tmp_path / "tilt" / "n1" / "a.mp4", film)
    opened = perturbed_sequences(
        tmp_path, dataset(10), preprocess="resize40-crop32"
    )
    ((made,),) = opened.sequences("tilt", 1).batches(2)
    assert made.shape == (3, 32, 32, 3)
    assert np.abs(made - film[:, :, :32].astype(float)).max() <= 4


def test_videos_of_another_size(av, tmp_path):
    make_videos(av, tmp_path / "tilt")
    opened = perturbed_sequences(tmp_path, dataset(10, side=64))
    message = error(opened.sequences, "tilt", 1)
    assert "32 x 32" in message and "such as resize64-crop64" in message


def test_a_video_of_another_length_is_named(av, tmp_path):
    make_videos(av, tmp_path / "tilt")
    odd = tmp_path / "tilt" / "n01484850" / "ILSVRC2012_val_00000002.mp4"
    write_video(av, odd, films_of(4)[0])
    sequences = perturbed_sequences(tmp_path, dataset(10)).sequences("tilt", 1)
    batches = sequences.batches(1)
    next(batches), next(batches)
    message = error(next, batches)
    assert f"{odd} has 4 frames of 32 x 32" in message
    assert "has 5 of 32 x 32" in message


def test_a_video_of_one_frame(av, tmp_path):
    make_videos(av, tmp_path / "tilt", frames=1)
    opened = perturbed_sequences(tmp_path, dataset(10))
    assert "has 1 frame" in error(opened.sequences, "tilt", 1)


@pytest.mark.parametrize("how", ["empty", "junk", "half", "header", "spoilt"])
def test_an_unreadable_video_is_named(av, how, tmp_path):
    films = noise(5, 32, 32, 3)
    folder = tmp_path / "tilt" / "n01443537"
    write_video(av, folder / "a.mp4", films)
    bad = write_video(av, folder / "b.mp4", films)
    content = bad.read_bytes()
    start = content.index(b"mdat") + 4
    middle = (start + content.index(b"moov")) // 2
    bad.write_bytes(
        {
            "empty": b"",
            "junk": b"this is no video",
            "half": content[: len(content) // 2],
            "header": content[:100],
            "spoilt": content[:middle]
            + b"\xff" * 400
            + content[middle + 400 :],
        }[how]
    )
    sequences = perturbed_sequences(tmp_path, dataset(10)).sequences("tilt", 1)
    message = error(collect, sequences)
    assert str(bad) in message and "npack" in message


def test_a_reader_that_stops_early_leaves_no_threads(av, tmp_path):
    make_videos(av, tmp_path / "tilt", num=8)
    sequences = perturbed_sequences(tmp_path, dataset(10)).sequences("tilt", 1)
    batches = sequences.batches(2)
    assert next(batches).shape == (2, 5, 32, 32, 3)
    batches.close()
    names = {thread.name for thread in threading.enumerate()}
    assert not any(name.startswith("video") for name in names)


def test_only_a_few_videos_are_decoded_ahead(av, tmp_path, monkeypatch):
    from noisymix_tf.data.released import videos

    make_videos(av, tmp_path / "tilt", num=20)
    read = []
    real = videos.read_video

    def counted(path):
        read.append(path)
        return real(path)

    monkeypatch.setattr(videos, "read_video", counted)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    sequences = perturbed_sequences(tmp_path, dataset(10)).sequences("tilt", 1)
    for taken, _ in enumerate(sequences.batches(4), start=1):
        # The first video tells the length; then a batch and one per core.
        assert len(read) <= 1 + 4 * taken + 4 + 2


def test_empty_folders(tmp_path):
    (tmp_path / "tilt").mkdir()
    opened = perturbed_sequences(tmp_path, dataset(10))
    assert "holds no class folders" in error(opened.sequences, "tilt", 1)
    (tmp_path / "tilt" / "n1").mkdir()
    assert "holds no files (.mp4)" in error(opened.sequences, "tilt", 1)


def test_without_pyav(tmp_path, monkeypatch):
    (tmp_path / "tilt" / "n1").mkdir(parents=True)
    (tmp_path / "tilt" / "n1" / "a.mp4").write_bytes(b"x")
    real = builtins.__import__

    def absent(name, *arguments, **keywords):
        if name == "av":
            raise ImportError(name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", absent)
    opened = perturbed_sequences(tmp_path, dataset(10))
    message = error(opened.sequences, "tilt", 1)
    assert 'pip install "noisymix_tf[video]"' in message
