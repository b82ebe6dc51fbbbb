"""What can be exported by its path: Keras files and directories of runs."""

import dataclasses
import pathlib

from noisymix_tf import command_line, model_card
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError
from noisymix_tf.models.classifier import SavedModel, load_classifier
from noisymix_tf.training import setup
from noisymix_tf.training.checkpoint import CheckpointFolder

_MODEL, _BEST = "model.keras", "best.keras"


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
    card = _card(file) or {}
    config = _config(card.get("flags"))
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
    if weights == "saved":
        return model, card or None, config
    own = _card(file) if weights == "best" else None
    if weights != "best":
        model = _of_checkpoint(path, model, config, weights == "ema")
    # What a card says of a run, whichever its weights.
    told = {key: card[key] for key in ("flags", "dataset") if key in card}
    return model, told | (own or model_card.describe(model)), config


def _card(file):
    has_card = file.is_file() and model_card.card_path(file).is_file()
    return model_card.read(file) if has_card else None


def _config(lines):
    """The configuration of the run that has these flags, or None."""
    if not isinstance(lines, list):
        return None
    try:
        return command_line.parse_words(lines, Config)
    except UsageError:
        # Flags of another program, or of another version of this one.
        return None


def _of_checkpoint(run, model, config, ema):
    """A trainer with the state of the newest checkpoint of a run."""
    lacks = None if config else "known flags (see its model.card.json)"
    if config and ema and not config.ema:
        lacks = "average of its weights (--ema=0)"
    if not lacks:
        # They say how steps are carried out, not what a state consists of.
        config = dataclasses.replace(
            config, steps_per_execution=1, checkpoint_steps=0
        )
        trainer = setup.trainer(config, model, steps_per_epoch=1)
        step, _ = CheckpointFolder(run / "checkpoints").restore(trainer)
        lacks = None if step else "checkpoint"
    if lacks:
        raise UsageError(f"The run {run} has no {lacks}: give --weights=saved.")
    trainer.evaluate_ema = ema
    return trainer
