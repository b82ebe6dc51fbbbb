"""What can be exported by its path: Keras files and directories of runs."""

import dataclasses
import pathlib
import typing

from absl import flags

from noisymix_tf import command_line, model_card
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import load_classifier
from noisymix_tf.evaluation.classifier import SavedModel

# Which weights of a run.
SAVED, LAST, EMA, BEST = WEIGHTS = ("saved", "last", "ema", "best")

_MODEL, _BEST = "model.keras", "best.keras"
_CHECKPOINTS = "checkpoints"
# What `noisymix_tf.data` takes for ImageNet where no flag says it.
_IMAGENET = "resize256-crop224"


@dataclasses.dataclass(frozen=True)
class Source:
    """A saved classifier with all that is known of it.

    Attributes:
        model: Keras classifier, or the `NoisyMix` around it.
        card: Its model card, a dict; None where it has none.
        config: The `Config` of the run that it comes from, or None.
    """

    model: typing.Any
    card: dict | None
    config: Config | None

    @property
    def class_names(self):
        """Names of the classes, or None."""
        return ((self.card or {}).get("dataset") or {}).get("class_names")

    @property
    def preprocess(self):
        """The word for how the run's images came to size, or None."""
        if self.config is None:
            return None
        data = self.config.data
        is_imagenet = data.dataset == "imagenet" and data.image_size is None
        return data.preprocess or (_IMAGENET if is_imagenet else None)


def load(path, weights=SAVED):
    """Loads a saved classifier for export.

    Args:
        path: A `.keras` file, or the directory of a run.
        weights: Of a run: `"saved"`, those of `model.keras`, which were
            evaluated; `"last"`, those after the last step, or `"ema"`, their
            average, from the newest checkpoint; `"best"`, those of
            `best.keras`, where a `BestCheckpoint` wrote it.

    Returns:
        A `Source`.

    Raises:
        UsageError: If there is no such model, or the run has no such weights.

    Example:

    >>> source = load("runs/quickstart")
    >>> export(source.model, "served", card=source.card)
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise UsageError(
            f"There is no model at {str(path)!r}: give a .keras file, or the "
            f"directory of a run."
        )
    file = path / _MODEL if (path / _MODEL).is_file() else path
    if weights != SAVED and file == path:
        raise UsageError(
            f"--weights={weights} is for the directory of a finished run, "
            f"which {str(path)!r} is not: leave it out."
        )
    if weights == BEST:
        file = path / _BEST
        if not file.is_file():
            raise UsageError(
                f"{path} has no {_BEST}: runs keep the weights of the last "
                f"epoch unless a noisymix_tf.callbacks.BestCheckpoint writes "
                f"that file; give --weights=saved, or --model=FILE.keras."
            )
    model = load_classifier(file)
    if isinstance(model, SavedModel):
        raise UsageError(
            f"{str(path)!r} is a SavedModel already: give the .keras file or "
            f"the run that it was made of."
        )
    card = _card(file)
    if weights == BEST:
        # A callback need not know what the run was told.
        card = _recent(_card(path / _MODEL), card or model_card.describe(model))
    config = _config(card)
    if weights in (LAST, EMA):
        model = _of_checkpoint(path, model, config, weights)
        card = _recent(card, model_card.describe(model))
    return Source(model, card, config)


def _card(file):
    if not model_card.card_path(file).is_file():
        return None
    return model_card.read(file)


def _config(card):
    """The configuration of the run that a card tells of, or None."""
    lines = (card or {}).get("flags")
    if not isinstance(lines, list):
        return None
    values = flags.FlagValues()
    command_line.define_flags(values)
    try:
        return command_line.parse(["card", *lines], values)
    except UsageError:
        # Flags of another program, or of another version of this one.
        return None


def _of_checkpoint(run, model, config, weights):
    """A trainer with the state of the newest checkpoint of a run."""
    from noisymix_tf.training import setup
    from noisymix_tf.training.checkpoint import CheckpointFolder

    if config is None:
        raise UsageError(
            f"The flags of the run {run} are not known (see its "
            f"model.card.json): give --weights=saved."
        )
    if weights == EMA and not config.optimizer.ema:
        raise UsageError(
            f"The run {run} has no average of its weights (--ema=0): give "
            f"--weights=saved or last."
        )
    # They say how steps are carried out, not what a state consists of.
    optimizer = dataclasses.replace(config.optimizer, steps_per_execution=1)
    run_config = dataclasses.replace(config.run, checkpoint_steps=0)
    config = dataclasses.replace(config, optimizer=optimizer, run=run_config)
    trainer = setup.trainer(config, model, steps_per_epoch=1)
    step, _ = CheckpointFolder(run / _CHECKPOINTS).restore(trainer)
    if not step:
        raise UsageError(
            f"The run {run} has no checkpoint: give --weights=saved."
        )
    trainer.evaluate_ema = weights == EMA
    return trainer


def _recent(old, new):
    """The card of weights other than those in the file."""
    if old is None:
        return new
    kept = {name: old[name] for name in ("flags", "dataset") if name in old}
    return new | kept
