"""What a split is: another image, label or order is another identity."""

import os
import shutil
import types

import numpy as np

from noisymix_tf import data
from noisymix_tf.data import identity, released
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import mapped
from support import picture_folders as folders
from support import released_sets
from support.usage import assert_usage_error

IMAGES = released_sets.noise(6, 8, 8, 3)
LABELS = np.array([0, 1, 0, 1, 0, 1])


def train(root):
    return data.load("folder", data_dir=root).train


def word(split):
    return str(split.identity)


def test_every_pixel_label_and_order_counts(tmp_path):
    """Also a change in memory: identities are not remembered."""
    split = data.ArraySplit(IMAGES.copy(), LABELS)
    before = word(split)
    assert before == word(data.ArraySplit(IMAGES, LABELS.astype(np.int64)))
    words = [before]
    for place in range(6):
        labels = LABELS ^ (np.arange(6) == place)
        words.append(word(data.ArraySplit(IMAGES, labels)))
        split.images[place, -1, -1, -1] ^= 1
        words.append(word(split))
    assert len(set(words)) == 13
    named = {str(split.identity.labelled(c)) for c in ("ab", "ba", ["ab"])}
    assert len(named) == 3
    files = train(folders.make(tmp_path))
    joined = data.JoinedSplit([files, files])
    for split in (data.ArraySplit(IMAGES, LABELS), files, joined):
        parts = ([0, 1], [1, 0], [0, 2], list(range(len(split))))
        words = {word(split.subset(np.array(p))) for p in parts}
        assert len(words) == 4 and word(split) in words


def test_files_are_known_by_name_size_and_time(tmp_path):
    photos = folders.make(tmp_path / "photos")
    before = train(photos).identity
    moved = shutil.copytree(photos, tmp_path / "moved")  # Keeps times.
    assert train(moved).identity == before
    path = moved / "train/dog/2.png"
    os.utime(path, (1, 1))
    later, before = word(train(moved)), str(before)
    # The bytes are looked at where they are asked for.
    assert later != before and identity.which(later) == identity.which(before)
    files = train(photos).files, train(moved).files
    assert identity.of_bytes(files[0]) == identity.of_bytes(files[1])
    folders.save(path, folders.picture(7))
    edited, own = train(moved).identity, train(photos).identity
    assert edited.contents != own.contents and edited.names == own.names
    assert identity.of_bytes(files[0]) != identity.of_bytes(files[1])
    path.rename(path.with_name("3.png"))
    assert train(moved).identity.names != own.names
    # So does how they are read, but the images are the same.
    split = train(photos)
    sizes = (24, Preprocess(24, 16), (24, 24))
    words = [word(data.FileSplit(split.paths, [0] * 6, size)) for size in sizes]
    assert len(set(words)) == 3
    assert len(set(map(identity.which, words))) == 1
    os.unlink(split.paths[-1])
    assert_usage_error(lambda: split.identity, "dog/2.png: No such file")


def test_rows_of_files_are_known_by_the_file(tmp_path):
    """Arrays of gigabytes are not read for it; what only yields batches is."""
    dataset = released_sets.dataset(2, side=8)
    np.save(tmp_path / "fog.npy", released_sets.noise(20, 8, 8, 3))
    np.save(tmp_path / "tilt.npy", released_sets.noise(4, 3, 8, 8, 3))
    np.save(tmp_path / "labels.npy", np.arange(4) % 2)
    films = released.perturbed_sequences(tmp_path, dataset)
    films = films.sequences("tilt", 1)

    def fog(level=1):
        return released.corrupted_images(tmp_path, dataset).split("fog", level)

    splits = fog(), fog(2), fog().subset([0]), films, films.subset([0])
    words = list(map(word, splits))
    assert len(set(words)) == 5 and word(fog()) == words[0]
    np.save(tmp_path / "fog.npy", released_sets.noise(20, 8, 8, 3, seed=1))
    assert word(fog()) != words[0]
    # Those in memory are known by their pixels.
    words = []
    for pixels in (IMAGES, IMAGES.copy(), IMAGES[::-1]):
        how = (Preprocess(), np.arange(3))
        films = mapped.MappedSequences(pixels[:, None], LABELS, *how)
        split = mapped.MappedImages(pixels, LABELS[:3], *how[::-1])
        parts = [(pixels[:4], LABELS[:4]), (pixels[4:], LABELS[4:])]
        plain = types.SimpleNamespace(batches=lambda _, p=parts: iter(p))
        assert identity.of(plain).images == 6
        words.append([word(films), word(split), str(identity.of(plain))])
    assert words[0] == words[1] and set(words[0]).isdisjoint(words[2])
