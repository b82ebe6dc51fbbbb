"""What a run begins from, where that is no seed: a classifier, or weights."""

import typing

import keras

from noisymix_tf import model_card
from noisymix_tf.errors import UsageError
from noisymix_tf.files import file_digest
from noisymix_tf.models.classifier import locate, read
from noisymix_tf.models.pretrained import IMAGENET, NO_WEIGHTS, adapted
from noisymix_tf.models.unwrap import classifier_of
from noisymix_tf.private import functional, is_graph
from noisymix_tf.progress import warn


class Start(typing.NamedTuple):
    """What the flags name to begin from."""

    flag: str  # As it was given, `--init=net.keras`.
    path: str
    sha256: str | None = None  # Of the file, if it is one.
    model: keras.Model | None = None  # As it was saved.
    class_names: list[str] | None = None  # Of its outputs, where known.

    def classifier(self, config, dataset) -> keras.Model:
        """The model, made anew for a dataset; see `pretrained.adapted`."""
        self._check_takes(dataset.image_shape)
        model = adapted(
            self.model,
            dataset.num_classes,
            seed=config.seed,
            new_head=self.head(config, dataset) != "kept",
            name=self.flag,
        )
        if not model_card.normalises(model):
            warn(
                f"note: {self.flag} has no layer that normalises pixels: it "
                f"takes them as they are, 0..255"
            )
        return model

    def head(self, config, dataset) -> str:
        """What becomes of the model's head: `"kept"`, or `"new (REASON)"`."""
        count, named = self.model.outputs[0].shape[-1], self.class_names
        if count != dataset.num_classes:
            if config.init_head == "keep":
                raise UsageError(
                    f"--init_head=keep: {self.flag} has {count} classes, "
                    f"{dataset.name} {dataset.num_classes}: leave it out, or "
                    f"give --init_head=new."
                )
            return f"new ({count} classes before)"
        if config.init_head is not None:
            return {"keep": "kept"}.get(config.init_head, "new (as asked for)")
        own = [str(name) for name in dataset.class_names]
        return "kept" if named in (None, own) else "new (other classes before)"

    def facts(self, config, dataset) -> dict:
        """What a card says of it, as JSON."""
        facts = {"path": self.path, "sha256": self.sha256}
        if self.model is not None:
            facts["head"] = self.head(config, dataset)
        return {name: fact for name, fact in facts.items() if fact is not None}

    def _check_takes(self, image_shape):
        """Refuses a model that is none of images `[H, W, C]`."""
        shape = tuple(functional(self.model).inputs[0].shape[1:])
        if len(shape) != 3:
            raise UsageError(
                f"{self.flag} takes arrays of shape {shape}: give a classifier "
                f"of images, [height, width, channels]."
            )
        if all(a in (None, b) for a, b in zip(shape, image_shape)):
            return
        height, width, channels = shape
        advice = f"give a model of {_size(image_shape)}"
        if channels in (None, image_shape[2]) and height == width:
            advice = f"give --image_size={height}, or {advice[5:]}"
        raise UsageError(
            f"{self.flag} takes images of {_size(shape)}, those of the dataset "
            f"are {_size(image_shape)}: {advice}."
        )


def _size(sides):
    return " x ".join(str(side or "any") for side in sides)


def words(facts) -> str:
    """What `Start.facts` come to in a line."""
    sha256, head = facts.get("sha256"), facts.get("head")
    file = f" (sha256 {sha256[:8]})" if sha256 else ""
    return f"{facts['path']}{file}" + (f", its head is {head}" if head else "")


def of(config) -> Start | None:
    """Reads what a `PretrainedConfig` names; None where it names nothing.

    A `UsageError` if it is no classifier that can be trained.
    """
    flag, path = f"--init={config.init}", config.init
    if path is None:
        flag, path = f"--weights={config.weights}", config.weights
        if path == NO_WEIGHTS:
            return None
        return Start(
            flag, path, None if path == IMAGENET else file_digest(path)
        )
    place = locate(path)
    if place.is_dir():
        raise UsageError(
            f"{flag} is a SavedModel, which cannot be trained: give the .keras "
            f"file that it was exported from."
        )
    model, names = classifier_of(read(place)), None
    if not is_graph(model):
        raise UsageError(
            f"{flag} is a {type(model).__name__} with a call of its own, or "
            f"not built: only functional and Sequential models can be made "
            f"anew for training."
        )
    try:
        names = model_card.read(place).get("dataset", {}).get("class_names")
    except (UsageError, AttributeError):
        pass  # It has no card, or one of a dataset of the user's own words.
    return Start(flag, path, file_digest(place), model, names)
