"""What can be exported by its path: Keras files and directories of runs."""

import dataclasses
import pathlib

from absl import flags

from noisymix_tf import command_line, model_card
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation import load_classifier
from noisymix_tf.models.classifier import SavedModel
from noisymix_tf.training import setup
from noisymix_tf.training.checkpoint import CheckpointFolder

_MODEL, _BEST = "model.keras", "best.keras"
# What a card says of a run, whichever its weights.
_OF_RUN = ("flags", "dataset")


def load(path, weights="saved"):
    """Loads a saved classifier for export.

    Args:
        path: A `.keras` file, or the directory of a run.
        weights: Of a run: `"saved"`, those of `model.keras`, which were
            evaluated; `"last"`, those after the last step, or `"ema"`, their
            average, from the newest checkpoint; `"best"`, those of
            `best.keras`, where a `BestCheckpoint` wrote it. Those that are not
            there are a `UsageError`.

    Returns:
        `(model, card, config)`: a Keras classifier, or the `NoisyMix` around
        it; its model card and the `Config` of its run, where they are known.
    """
    path = pathlib.Path(path)
    file = path / _MODEL if (path / _MODEL).is_file() else path
    if weights != "saved" and file == path:
        raise UsageError(
            f"--weights={weights} is for the directory of a finished run, "
            f"which {str(path)!r} is not: leave it out."
        )
    card = _card(file)
    if weights == "best":
        file = path / _BEST
        if not file.is_file():
            raise UsageError(
                f"{path} has no {_BEST}, which a callbacks.BestCheckpoint "
                f"writes: give --weights=saved, or --model=FILE.keras."
            )
    model = load_classifier(file)
    if isinstance(model, SavedModel):
        raise UsageError(
            f"{str(path)!r} is a SavedModel already: give the .keras file or "
            f"the run that it was made of."
        )
    config = _config(card)
    if weights in ("last", "ema"):
        model = _of_checkpoint(path, model, config, weights == "ema")
    if weights != "saved":
        told = {k: v for k, v in (card or {}).items() if k in _OF_RUN}
        own = _card(file) if weights == "best" else None
        card = told | (own or model_card.describe(model))
    return model, card, config


def _card(file):
    has_card = file.is_file() and model_card.card_path(file).is_file()
    return model_card.read(file) if has_card else None


def _config(card):
    """The configuration of the run that a card tells of, or None."""
    lines = (card or {}).get("flags")
    if not isinstance(lines, list):
        return None
    values = flags.FlagValues()
    command_line.define_flags(values)
    try:
        return command_line.parse_expanded(["card", *lines], values)
    except UsageError:
        # Flags of another program, or of another version of this one.
        return None


def _of_checkpoint(run, model, config, ema):
    """A trainer with the state of the newest checkpoint of a run."""
    lacks = None if config else "known flags (see its model.card.json)"
    if config and ema and not config.optimizer.ema:
        lacks = "average of its weights (--ema=0)"
    if lacks:
        raise UsageError(f"The run {run} has no {lacks}: give --weights=saved.")
    # They say how steps are carried out, not what a state consists of.
    optimizer = dataclasses.replace(config.optimizer, steps_per_execution=1)
    run_config = dataclasses.replace(config.run, checkpoint_steps=0)
    config = dataclasses.replace(config, optimizer=optimizer, run=run_config)
    trainer = setup.trainer(config, model, steps_per_epoch=1)
    step, _ = CheckpointFolder(run / "checkpoints").restore(trainer)
    if not step:
        raise UsageError(f"{run} has no checkpoint: give --weights=saved.")
    trainer.evaluate_ema = ema
    return trainer
