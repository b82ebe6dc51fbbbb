"""What a split is: another image, label or order is another identity."""

import os
import pathlib
import shutil
import types

import numpy as np
import pytest

from noisymix_tf import data, run_folder
from noisymix_tf.data import identity
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.records import TFRecordSplit
from noisymix_tf.data.stored import StoredImages, Videos
from support import picture_folders as folders
from support import released_sets
from support.usage import assert_usage_error

IMAGES = released_sets.noise(6, 8, 8, 3)
LABELS = np.array([0, 1, 0, 1, 0, 1])
ARRAY, SIX = data.ArraySplit(IMAGES, LABELS), range(6)


def train(root):
    return data.load("folder", data_dir=root).train


def word(split):
    return str(split.identity)


def test_every_pixel_label_and_order_counts():
    """Also a change in memory, and of what only yields batches."""
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
    parts = ([0, 1], [1, 0], [0, 2], list(range(6)))
    words = {word(ARRAY.subset(np.array(part))) for part in parts}
    assert len(words) == 4 and word(ARRAY) in words
    words = []
    for pixels in (IMAGES, IMAGES.copy(), IMAGES[::-1]):
        parts = [(pixels[:4], LABELS[:4]), (pixels[4:], LABELS[4:])]
        plain = types.SimpleNamespace(batches=lambda _, p=parts: iter(p))
        assert identity.of(plain).images == 6
        words.append(str(identity.of(plain)))
    assert words[0] == words[1] != words[2]


def test_files_are_known_by_name_size_and_time(tmp_path):
    photos = folders.make(tmp_path / "photos")
    moved = shutil.copytree(photos, tmp_path / "moved")  # Keeps times.
    assert train(moved).identity == train(photos).identity
    path = moved / "train/dog/2.png"
    # Each video is a file: of others of them nothing is known.
    files, labels = train(photos).files, np.array([1, 0])
    films = StoredImages(Videos(files), labels, [2, 0], Preprocess(8))
    some = {"files": [files[2], files[0]], "reading": Preprocess(8)}
    assert films.identity == identity.make(labels, **some)
    # Private: the bytes are looked at where they are asked for.
    gone = train(moved)
    files = train(photos).files, gone.files
    assert run_folder._bytes(files[0]) == run_folder._bytes(files[1])
    folders.save(path, folders.picture(7))
    assert run_folder._bytes(files[0]) != run_folder._bytes(files[1])
    os.unlink(path)
    assert_usage_error(lambda: gone.identity, "dog/2.png: No such file")


KINDS = {
    "files": data.FileSplit,
    "joined": lambda *own: data.JoinedSplit([data.FileSplit(*own), ARRAY]),
    "records": lambda f, *own: TFRecordSplit(f, np.ones((3, 6)) * SIX, *own),
    "rows of an array": lambda files, labels, rule: StoredImages(
        np.memmap(files[2], shape=(6, 2, 2, 3)), labels, SIX, rule
    ),
    "videos": lambda f, ks, rule: StoredImages(Videos(f), ks, SIX, rule),
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_changes_is_another_identity(kind, tmp_path):
    """Labels, the way to read, and of a file its name, size and time."""
    files = list(train(folders.make(tmp_path)).paths)
    make, rules = KINDS[kind], [Preprocess(8), Preprocess(crop=8)]

    def known(labels=LABELS, rule=rules[0], part=range(6)):
        return word(make(list(files), labels, rule).subset(np.array(part)))

    words = [known(), known(rule=rules[1])]
    assert known(LABELS.copy(), Preprocess(8)) == words[0]
    # One of equal size put in its place; only one of equal time is not seen.
    os.utime(files[2], (1, 1))
    words += [known()]
    # Time and way of reading are in the second half.
    assert len(set(map(identity.which, words))) == 1
    words += [known(1 - LABELS), known(part=[0]), known(part=[2])]
    folders.save(pathlib.Path(files[2]), folders.picture(7))
    os.utime(files[2], (1, 1))
    words += [known()]
    os.rename(files[2], tmp_path / "train/cat/9.png")
    files[2] = str(tmp_path / "train/cat/9.png")
    assert len({*words, known()}) == 8
