"""What a suite is: cells to measure, and the sections that tell of them.

A suite is a class under `@SUITES.register(name)`: its `tasks` say what there is
to measure, its `sections` make a part of the report of what was measured, and
its `columns` a part of a comparison.
"""

import abc
import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from noisymix_tf.evaluation.cells import Cell
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.metrics import ImageScores
from noisymix_tf.evaluation.settings import Settings
from noisymix_tf.probabilities import LOGITS
from noisymix_tf.registry import Registry

SUITES = Registry("suite")


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A `Cell`, and how it is measured.

    Attributes:
        images: `Images` that it is about. Tasks of the same object share its
            chunks: each is read once.
        make: Function `make(images, indices=indices)` of uint8 `[b, H, W, C]`
            and int `[b]`, the images' places: uint8 `[b, H, W, C]`, or
            sequences `[b, T, H, W, C]`. Other processes load it: best it is of
            a module without TensorFlow, or a `functools.partial` of one.
        attack: Function `(images, labels, indices)` in this process that
            returns what the model shall see, float `[b, H, W, C]`.
        frames: T, where an image becomes, or is, a sequence.
        classes: int `[k]`: only images of these classes count, outputs are
            cut down to them, and labels count within them (those of `images`
            do already, where these have k classes). None for all.
        passes: How often an image passes the network, about; a gradient counts
            as two passes more.
    """

    cell: Cell
    images: Images
    make: Callable | None = None
    attack: Callable | None = None
    frames: int = 1
    classes: object = None
    passes: int = 1

    @functools.cached_property
    def places(self):
        """Places of the n rows among the images; None where all count."""
        if self.classes is None or self.images.num_classes == len(self.classes):
            return None
        return np.flatnonzero(np.isin(self.images.labels, self.classes))


@dataclasses.dataclass
class Job:
    """What the suites of one evaluation share.

    Attributes:
        dataset: Has `name`, `num_classes`, `class_names` and `test`.
        images: `Images`, the test images.
        settings: What was asked for.
        batch_size: Images per forward pass.
        model, predictor, replicas, model_id: The classifier, what gives its
            outputs, devices that share the work, and the model's fingerprint;
            None and `""` where there is no model yet.
    """

    dataset: object
    images: Images
    settings: Settings
    batch_size: int
    model: object = None
    predictor: object = None
    replicas: object = None
    model_id: str = ""

    def cell(self, suite, corruption=None, severity=0, images=None, **fields):
        """A cell of `images`, by default the test images, as they are.

        Other `fields` are those of the `Cell`; where a `generator` is among
        them, the images are generated, by the seed that was asked for.
        """
        images = images or self.images
        made = {"source": "original"}
        if "generator" in fields:
            made = {"source": "generated", "seed": self.settings.seed}
        made |= {"n": images.n, "data": images.fingerprint}
        made |= {"available": images.available, "model": self.model_id}
        made["outputs"] = self.predictor.kind if self.predictor else ""
        made["preprocess"] = images.preprocess
        where = self.dataset.name, suite, corruption, severity
        return Cell(*where, **made | fields)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a comparison: a figure of the sections of a suite.

    Attributes:
        figure: Name of the `sections.Figure`, whose settings each give one.
        title: Heading, with `{label}` for the section's label and `{setting}`
            for the figure's setting.
        higher_is_better: Whether the largest value is the best.
        is_main: Whether the paper's table has it.
        main_setting: How the settings end that the table has.
        digits: Decimals that are shown, of per cent.
    """

    figure: str
    title: str = "{label}"
    higher_is_better: bool = True
    is_main: bool = True
    main_setting: str = ""
    digits: int = 1


class Suite(abc.ABC):
    """Something that can be measured, cell by cell; it has no state.

    Attributes:
        options: Names of the `Settings` that mean something to it.
        columns: Its `Column`s of a comparison.
        scores: Class of the scores of its cells: `scores(rows, group)`, with a
            structured dtype `scores.ROW`.
        of: Suites whose cells its sections are about; by default its own.
    """

    options, columns = (), ()
    scores, of = ImageScores, None

    @abc.abstractmethod
    def tasks(self, job):
        """List of the `Task`s there are for a `Job`, or a `UsageError`.

        A job before a training has no model yet.
        """

    @abc.abstractmethod
    def sections(self, scores, context):
        """List of `sections.Section`, out of `{cell: scores}`.

        `context` is a `sections.Context`.
        """

    def rows(self, cell, outputs, labels):
        """Rows of dtype `scores.ROW`: what a model said of images of a cell.

        Its `outputs` are float `[b, K]`, of sequences `[b, T, K]`, `labels` int
        `[b]`.
        """
        return self.scores.of(outputs, labels, cell.outputs == LOGITS)

    def group(self, cell):
        """Word for the images of a cell, see `resampling.draws`."""
        return "test"
