"""Sequences of frames that are stored as videos, as those of ImageNet-P."""

import collections
import concurrent.futures
import functools
import itertools
import os

import numpy as np

from noisymix_tf.data import identity
from noisymix_tf.data.dataset import one_line, size_text
from noisymix_tf.data.released.sizes import output_shape
from noisymix_tf.errors import UsageError

SUFFIX = ".mp4"


def read_video(path):
    """All frames of a video, as FFmpeg decodes them.

    Args:
        path: The file.

    Returns:
        uint8 `[T, H, W, 3]`, RGB.

    Raises:
        UsageError: If PyAV is not installed, or the file cannot be read to its
            end.
    """
    av = _pyav()
    try:
        with av.open(path) as video:
            # Files are decoded side by side, so each by one thread. A damaged
            # frame is an error; FFmpeg would invent what is missing.
            video.streams.video[0].codec_context.thread_type = "NONE"
            video.streams.video[0].codec_context.options = {
                "err_detect": "explode"
            }
            frames = list(video.decode(video=0))
            damaged = any(frame.is_corrupt for frame in frames)
            frames = [frame.to_ndarray(format="rgb24") for frame in frames]
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise UsageError(
            f"Cannot read the video {path}: {one_line(error)}. Unpack it again."
        ) from error
    if damaged or not frames:
        reason = "a frame is damaged" if damaged else "it has no frames"
        raise UsageError(
            f"Cannot read the video {path}: {reason}. Unpack it again."
        )
    return np.stack(frames)


class VideoSequences:
    """Videos of one length, decoded ahead of their use.

    Memory holds two batches and one video for each core.

    Args:
        paths: N file names.
        labels: ints `[N]`.
        preprocess: `Preprocess` for every frame.

    Attributes:
        labels: NumPy int32 `[N]`.
        preprocess: As given.
    """

    def __init__(self, paths, labels, preprocess):
        self.paths = tuple(paths)
        self.labels = np.asarray(labels, np.int32)
        self.preprocess = preprocess

    def __len__(self):
        return len(self.paths)

    @property
    def identity(self):
        """As of a `noisymix_tf.data.Split`."""
        return identity.make(
            self.labels, files=self.paths, reading=self.preprocess
        )

    @functools.cached_property
    def _stored_shape(self):
        """`(T, h, w, 3)` of the first video, and so of all."""
        shape = read_video(self.paths[0]).shape
        if shape[0] < 2:
            raise UsageError(
                f"The video {self.paths[0]} has {shape[0]} frame: predictions "
                "are compared along at least 2; unpack it again."
            )
        return shape

    @property
    def num_frames(self):
        """T, the same for every video."""
        return self._stored_shape[0]

    @property
    def image_shape(self):
        """`(H, W, 3)` of a frame when it is read."""
        return output_shape(self.preprocess, self._stored_shape[1:])

    def batches(self, batch_size):
        """Yields uint8 `[n, T, H, W, 3]`, in order.

        Raises:
            UsageError: That names a video which cannot be read, or is of
                another length or size than the first.
        """
        # Known before several threads ask for it.
        expected = self._stored_shape
        workers = os.cpu_count() or 1
        pool = concurrent.futures.ThreadPoolExecutor(workers, "video")
        try:
            rest = iter(self.paths)
            first = itertools.islice(rest, batch_size + workers)
            waiting = collections.deque(
                pool.submit(self._read, path, expected) for path in first
            )
            while waiting:
                films = []
                while waiting and len(films) < batch_size:
                    films.append(waiting.popleft().result())
                    for path in itertools.islice(rest, 1):
                        waiting.append(pool.submit(self._read, path, expected))
                yield np.stack(films)
        finally:
            pool.shutdown(cancel_futures=True)

    def subset(self, indices):
        """The sequences at some positions, in that order."""
        indices = np.asarray(indices)
        return VideoSequences(
            [self.paths[i] for i in indices],
            self.labels[indices],
            self.preprocess,
        )

    def _read(self, path, expected):
        frames = read_video(path)
        if frames.shape != expected:
            raise UsageError(
                f"The video {path} has {len(frames)} frames of "
                f"{size_text(frames.shape[1:])}, but {self.paths[0]} has "
                f"{expected[0]} of {size_text(expected[1:])}: "
                "unpack both again."
            )
        if self.preprocess.side is None:
            return frames
        return self.preprocess.apply(frames).numpy()


def _pyav():
    try:
        import av
    except ImportError as error:
        raise UsageError(
            "Videos need PyAV, which is not installed: run "
            'pip install "noisymix_tf[video]".'
        ) from error
    return av
