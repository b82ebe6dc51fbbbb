"""Released sets that are trees of images, or of videos."""

import concurrent.futures
import functools
import os

import numpy as np

from noisymix_tf.data import folder
from noisymix_tf.data.classes import class_indices, imagenet_r_wnids, is_wnid
from noisymix_tf.data.dataset import size_text
from noisymix_tf.data.encoded import FileSplit
from noisymix_tf.data.preprocess import Preprocess
from noisymix_tf.data.released import cells
from noisymix_tf.data.released.arrays import StoredSequences
from noisymix_tf.errors import UsageError

# The archives of ImageNet-C and ImageNet-P, which become folders of folders.
_GROUPS = ("noise", "blur", "weather", "digital", "extra", "validation")
_VIDEO = ".mp4"


def named(root, names):
    """`{name: path}` of the folders there, or one level down in a group."""
    there, _ = folder.list_folder(root)
    places = {name: f"{root}/{name}" for name in there}
    for group in filter(there.__contains__, _GROUPS):
        for name in folder.list_folder(f"{root}/{group}")[0]:
            places.setdefault(name, f"{root}/{group}/{name}")
    return {name: places[name] for name in names if name in places}


def corrupted(root, folders, dataset, preprocess, manifest):
    """The layout of ImageNet-C: corruption/severity/class/image."""
    if preprocess is None:
        # Our own are of the dataset's size, they were made from it.
        preprocess = Preprocess() if manifest else cells.usual(dataset)
    places = {
        f"{name}/{severity}": f"{place}/{severity}"
        for name, place in folders.items()
        for severity in folder.list_folder(place)[0]
    }

    def open_cell(name, place):
        classes = folder.class_files(place)
        known = dataset.class_names, place, dataset.name, manifest is None
        labels = class_indices(classes, *known)
        split = _files(zip(labels, classes.values()), preprocess)
        noted = manifest and manifest["files"].get(name, {}).get("files")
        if manifest and noted != len(split):
            raise UsageError(
                f"{place} has {len(split)} images, but its manifest notes "
                f"{noted or 'none'}: the command that writes it has not "
                "finished, run it again."
            )
        return split

    return "tree", "released tree", preprocess, places, open_cell


def perturbed(root, folders, preprocess):
    """The layout of ImageNet-P: perturbation/class/video."""

    def open_cell(_, place):
        classes = folder.class_files(place, (_VIDEO,))
        paths, labels = folder.labelled(enumerate(classes.values()))
        own = labels, range(len(paths)), preprocess
        return StoredSequences(Videos(paths), *own)

    return "videos", "released videos", preprocess, folders, open_cell


def shifted(root, dataset, preprocess):
    """The layout of ImageNet-R: class/image, or the same a layer below."""
    there, _ = folder.list_folder(root)
    if not {*map(str, dataset.class_names)} & {*there}:
        layers = filter(there.__contains__, folder.TEST_FOLDERS)
        paths = [f"{root}/{layer}" for layer in layers]
        root = next(filter(lambda p: folder.list_folder(p)[0], paths), root)
    classes = folder.class_files(root)
    is_synsets, what = all(map(is_wnid, classes)), "shifted images"
    if preprocess is None:
        preprocess = cells.usual(dataset, is_synsets, is_square=True)
    if is_synsets and [*classes] == imagenet_r_wnids():
        what = "ImageNet-R"

    def split_of(labels):
        return _files(zip(labels, classes.values()), preprocess)

    own = "tree", what, classes, dataset, split_of
    return cells.ShiftedImages.of(root, *own)


def _files(classes, preprocess):
    """The split of pairs of a label and its files, in the order of labels."""
    paths, labels = folder.labelled(sorted(classes))
    size = preprocess if preprocess.side else folder.header_size(paths[0])
    return FileSplit(paths, labels, size)


class Videos:
    """Videos of one length and size, like an array uint8 `[N, T, h, w, 3]`.

    Rows are decoded where they are used, side by side: `videos[[3, 1]]`.
    """

    def __init__(self, paths):
        self.paths = tuple(paths)

    @functools.cached_property
    def shape(self):
        """`(N, T, h, w, 3)`, by the first video."""
        return len(self.paths), *_read_video(self.paths[0]).shape

    def __getitem__(self, rows):
        expected = self.shape[1:]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            films = list(pool.map(_read_video, [self.paths[r] for r in rows]))
        for row, film in zip(rows, films):
            if film.shape != expected:
                raise UsageError(
                    f"{self.paths[row]} has {len(film)} frames of "
                    f"{size_text(film.shape[1:])}, but {self.paths[0]} has "
                    f"{expected[0]} of {size_text(expected[1:])}: unpack both."
                )
        return np.stack(films)


def _read_video(path):
    """All frames as FFmpeg decodes them, uint8 `[T, H, W, 3]`, T at least 2."""
    try:
        import av
    except ImportError as error:
        how = 'pip install "noisymix_tf[video]"'
        raise UsageError(f"Videos need PyAV: run {how}.") from error
    with folder.must(f"read the video {path}", "Unpack it again"):
        with av.open(path) as video:
            # Files are decoded side by side, so each by one thread. A damaged
            # frame is an error; FFmpeg would invent what is missing.
            context = video.streams.video[0].codec_context
            context.thread_type = "NONE"
            context.options = {"err_detect": "explode"}
            frames = list(video.decode(video=0))
        if any(frame.is_corrupt for frame in frames):
            raise ValueError("a frame is damaged")
        if len(frames) < 2:
            number = len(frames)
            raise ValueError(f"it has {number} frame, and 2 are compared")
        return np.stack([f.to_ndarray(format="rgb24") for f in frames])
