"""What a split is: another image, label or order is another identity."""

import os
import shutil

import numpy as np
import pytest

from noisymix_tf import UsageError, data
from noisymix_tf.data import ArraySplit, FileSplit, JoinedSplit, identity
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import corrupted_images, perturbed_sequences
from noisymix_tf.data.released.mapped import MappedImages, MappedSequences
from support import picture_folders as folders
from support import released_sets

IMAGES = released_sets.noise(6, 8, 8, 3)
LABELS = np.array([0, 1, 0, 1, 0, 1])


@pytest.fixture
def photos(tmp_path):
    return folders.make(tmp_path / "photos")


def train(root):
    return data.load("folder", data_dir=root).train


def same(one, other):
    return str(one.identity) == str(other.identity)


def test_every_pixel_and_label_counts():
    split = ArraySplit(IMAGES, LABELS)
    assert same(split, ArraySplit(IMAGES.copy(), LABELS.astype(np.int64)))
    for place in range(6):
        images, labels = IMAGES.copy(), LABELS.copy()
        images[place, -1, -1, -1] ^= 1
        labels[place] ^= 1
        assert not same(split, ArraySplit(images, LABELS))
        assert not same(split, ArraySplit(IMAGES, labels))


def test_a_change_in_memory_is_seen():
    """Identities are not remembered: arrays can be written to."""
    split = ArraySplit(IMAGES.copy(), LABELS)
    before = str(split.identity)
    split.images[-1] = 0
    assert str(split.identity) != before


def test_parts_and_orders_are_told_apart(photos):
    files = train(photos)
    joined = JoinedSplit([files, files])
    for split in (ArraySplit(IMAGES, LABELS), files, joined):
        parts = ([0, 1], [1, 0], [0, 2], list(range(len(split))))
        words = {str(split.subset(np.array(p)).identity) for p in parts}
        assert len(words) == 4
        assert str(split.identity) in words


def test_files_are_known_by_name_size_and_time(photos, tmp_path):
    before = train(photos).identity
    moved = shutil.copytree(photos, tmp_path / "moved")  # Keeps times.
    assert train(moved).identity == before
    path = moved / "train" / "dog" / "2.png"

    folders.save(path, folders.picture(7))
    edited = train(moved).identity
    assert edited.contents != before.contents and edited.names == before.names
    path.rename(path.with_name("3.png"))
    assert train(moved).identity.names != before.names


def test_a_copy_without_times_differs_in_them_alone(photos, tmp_path):
    before = train(photos).identity
    copy = shutil.copytree(
        photos, tmp_path / "copy", copy_function=shutil.copyfile
    )
    for path in copy.rglob("*.png"):
        os.utime(path, (1, 1))
    after = train(copy).identity
    assert str(after) != str(before)
    assert identity.which(str(after)) == identity.which(str(before))
    files = train(photos).files, train(copy).files
    assert identity.of_bytes(files[0]) == identity.of_bytes(files[1])


def test_how_files_are_read_counts(photos):
    words = [
        str(FileSplit(train(photos).paths, [0] * 6, size).identity)
        for size in (24, Preprocess(24, 16), (24, 24))
    ]
    assert len(set(words)) == 3
    assert len(set(map(identity.which, words))) == 1


def test_a_file_that_is_gone_is_named(photos):
    split = train(photos)
    os.unlink(split.paths[-1])
    with pytest.raises(UsageError, match=r"dog/2\.png: No such file") as caught:
        _ = split.identity
    assert "\n" not in str(caught.value)


def test_what_only_yields_batches_is_known_by_all_of_them():
    class Plain:
        def __init__(self, images):
            self.images = images

        def batches(self, batch_size):
            for start in range(0, 6, batch_size):
                part = slice(start, start + batch_size)
                yield self.images[part], LABELS[part]

    word = str(identity.of(Plain(IMAGES)))
    assert word == str(identity.of(Plain(IMAGES.copy())))
    assert word != str(identity.of(Plain(IMAGES[::-1])))
    assert identity.of(Plain(IMAGES)).images == 6


def test_rows_of_files_are_known_by_the_file(tmp_path):
    """Arrays of gigabytes are not read for it."""
    dataset = released_sets.dataset(2, side=8)
    for name in ("fog", "tilt"):
        shape = (20, 8, 8, 3) if name == "fog" else (4, 3, 8, 8, 3)
        np.save(tmp_path / f"{name}.npy", released_sets.noise(*shape))
    np.save(tmp_path / "labels.npy", np.arange(4) % 2)
    opened = corrupted_images(tmp_path, dataset)
    films = perturbed_sequences(tmp_path, dataset)
    words = [str(opened.split("fog", s).identity) for s in (1, 2)]
    words.append(str(opened.split("fog", 1).subset([0]).identity))
    words.append(str(films.sequences("tilt", 1).identity))
    words.append(str(films.sequences("tilt", 1).subset([0]).identity))
    assert len(set(words)) == 5
    again = corrupted_images(tmp_path, dataset)
    assert str(again.split("fog", 1).identity) == words[0]
    np.save(tmp_path / "fog.npy", released_sets.noise(20, 8, 8, 3, seed=1))
    assert str(again.split("fog", 1).identity) != words[0]


def test_rows_of_arrays_in_memory_are_known_by_their_pixels():
    def words(images):
        rows = np.arange(3)
        films = MappedSequences(images[:, None], LABELS, Preprocess(), rows)
        split = MappedImages(images, LABELS[:3], rows, Preprocess())
        return str(films.identity), str(split.identity)

    assert words(IMAGES) == words(IMAGES.copy())
    assert set(words(IMAGES)).isdisjoint(words(IMAGES[::-1]))
