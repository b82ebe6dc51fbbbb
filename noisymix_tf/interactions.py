"""What flags mean to each other and to the devices, told before work begins."""

import dataclasses
import functools
import math
import os
import re
import types
import typing
from collections.abc import Callable

from noisymix_tf import places
from noisymix_tf.augment import VIEWS
from noisymix_tf.errors import UsageError
from noisymix_tf.mixing import MIXINGS
from noisymix_tf.options import flags_in, options_of
from noisymix_tf.progress import warn


class Interaction(typing.NamedTuple):
    """A combination that is refused, or of which a line is said.

    `f` are the flags, None where a command has none of the name, the set of
    the names that are `changed` from their defaults, and of these the words for
    those that are `idle`; `d` are the `devices.Devices`. Words are a format of
    both.
    """

    holds: Callable
    words: str
    is_refused: bool = True


_note = functools.partial(Interaction, is_refused=False)


def _resizes(f):
    by_default = f.train_crop is None and f.dataset == "imagenet"
    return f.train_crop == "resized" or by_default


def _is_constant(f):
    peak = f.learning_rate
    if f.base_batch_size:
        peak *= f.batch_size * f.accumulation_steps / f.base_batch_size
    return math.isclose(peak, f.final_learning_rate) and not f.ramps


def _has(f, *levels):
    ramped = [item.partition(":")[0] for item in f.ramps]
    return any(getattr(f, name) or name in ramped for name in levels)


def _of_keras(f):
    return (f.model or "").startswith("applications/")


def _file(f):
    """The file of weights that a training begins from."""
    names = None, "none", "imagenet"
    return f.weights if f.epochs and f.weights not in names else None


def _is_whole(f, name):
    return f.init or (_of_keras(f) and name != "model")


def _is_adaptive(f):
    return f.optimizer in ("adamw", "lion")


def mixes_pictures(f) -> bool:
    """Whether the views of some flags are made with `mixing_dir`."""
    return hasattr(options_of(VIEWS, f.views), "mixing_dir")


# Options of a term that there may be none of.
_OF_TERMS = (
    ("alpha", "mixing"),
    ("mixing_probability", "mixing"),
    ("jsd_weight", "stability"),
    ("num_views", "stability"),
)
OF_FLAGS = (
    Interaction(
        lambda f: f.mixing_dir and not mixes_pictures(f),
        "--mixing_dir={f.mixing_dir} does nothing with --views={f.views}: "
        "leave it out, or give --views=pixmix.",
    ),
    Interaction(
        lambda f: f.views and not f.mixing_dir and mixes_pictures(f),
        "--views={f.views} needs pictures to mix with: give --mixing_dir=DIR, "
        "any folder of them; python -m noisymix_tf fractals draws some.",
    ),
    *(
        Interaction(
            lambda f, name=name: name in f.changed and _is_whole(f, name),
            f"--{name}={{f.{name}}} does nothing with --init=FILE or "
            "--model=applications/NAME, whose network is as it is: leave it "
            "out, or give its default.",
        )
        for name in ("model", "width", "dropout")
    ),
    Interaction(
        lambda f: f.init_head and not f.init,
        "--init_head={f.init_head} belongs to --init=FILE: leave it out.",
    ),
    Interaction(
        lambda f: (_file(f) or f.weights == "imagenet") and not _of_keras(f),
        "--weights={f.weights} belongs to --model=applications/NAME: leave it "
        "out; a whole model is given by --init=FILE.",
    ),
    Interaction(
        lambda f: _file(f) and not os.path.isfile(_file(f)),
        "--weights={f.weights} is no file: give imagenet, none, or a file "
        "that model.save_weights wrote.",
    ),
    Interaction(
        lambda f: f.epochs and f.outputs == "probabilities",
        "--outputs=probabilities: the networks that are trained give logits; "
        "leave it out.",
    ),
    Interaction(
        lambda f: (
            f.data_service
            and not re.fullmatch(r"grpc://[^/]+:\d+", f.data_service)
        ),
        "--data_service={f.data_service} is no address: give the dispatcher's, "
        "grpc://HOST:PORT.",
    ),
    Interaction(
        lambda f: f.epochs and f.dataset == "folder" and not f.data_dir,
        "--dataset=folder needs --data_dir=DIR, the folder that holds train/ "
        "and val/, or one folder per class.",
    ),
    Interaction(
        lambda f: f.tpu and f.strategy != "tpu",
        "--tpu={f.tpu} belongs to --strategy=tpu, not to {f.strategy}.",
    ),
    Interaction(
        lambda f: f.crop_padding and _resizes(f),
        "--crop_padding={f.crop_padding} belongs to --train_crop=pad, but "
        "images are cropped and resized: leave it out, or give "
        "--train_crop=pad.",
    ),
    Interaction(
        lambda f: (
            f.augment_on == "device"
            and (f.views, f.flip) == ("none", False)
            and (f.crop_padding == 0 or _resizes(f))
        ),
        "--augment_on=device has nothing to do with --views=none, --noflip and "
        "no padding: leave it out.",
    ),
    Interaction(
        lambda f: f.input == "device" and f.data_service,
        "--input=device takes no batches from --data_service: leave one of "
        "them out.",
    ),
    Interaction(
        lambda f: f.input == "device" and _resizes(f),
        "--input=device cannot crop and resize images: give --train_crop=pad, "
        "or --input=host.",
    ),
    Interaction(
        lambda f: (
            _is_adaptive(f) and (f.weight_decay_mode != "l2" or not f.nesterov)
        ),
        "--nonesterov and --weight_decay_mode=decoupled are for "
        "--optimizer=sgd; {f.optimizer} has weight decay decoupled and a "
        "momentum of its own: leave them out.",
    ),
    Interaction(
        lambda f: f.optimizer == "lion" and not f.momentum,
        "--optimizer=lion does not work with --momentum=0: give one above 0.",
    ),
    Interaction(
        lambda f: (
            f.freeze_epochs and (f.warmup_epochs >= f.epochs - f.freeze_epochs)
        ),
        "--freeze_epochs={f.freeze_epochs} and --warmup_epochs="
        "{f.warmup_epochs:g} leave nothing of --epochs={f.epochs} for the "
        "cosine of all weights: give fewer.",
    ),
    Interaction(
        lambda f: (
            f.freeze_batch_norm
            and (f.sync_batch_norm or f.bn_momentum is not None)
        ),
        "--freeze_batch_norm keeps the statistics as they came, which "
        "--sync_batch_norm and --bn_momentum are about: leave these out.",
    ),
    _note(
        lambda f: _is_adaptive(f) and f.learning_rate >= 0.01,
        "--learning_rate={f.learning_rate:g} is a rate for "
        "--optimizer=sgd: {f.optimizer} changes every weight by about the "
        "rate in each step",
    ),
    Interaction(
        lambda f: f.extend and not _is_constant(f),
        "--extend ends a run as if --epochs={f.epochs} had been its own from "
        "the start, which it can where no rate or level depends on them (a "
        "--final_learning_rate of the full --learning_rate, no --ramps): "
        "leave it out and train anew in another --output_dir.",
    ),
    _note(
        lambda f: f.noise_scale and not _has(f, "additive_noise"),
        "--noise_scale={f.noise_scale} is the unit of additive noise, and "
        "there is none: give --additive_noise",
    ),
    _note(
        lambda f: (
            f.noise_per_tap not in (None, (1.0,))
            and not _has(f, "additive_noise", "multiplicative_noise")
        ),
        "--noise_per_tap are factors of noise, and there is none: give "
        "--additive_noise or --multiplicative_noise",
    ),
    *(
        _note(
            lambda f, name=name, of=of: (
                name in f.changed
                and getattr(f, name)
                and getattr(f, of) == "none"
            ),
            f"--{name}={{f.{name}}} does nothing with --{of}=none",
        )
        for name, of in _OF_TERMS
    ),
    _note(
        lambda f: (
            len(f.noise_per_tap or ()) > 1 and not MIXINGS.get(f.mixing).hidden
        ),
        "--noise_per_tap: of several factors the first alone counts with "
        "--mixing={f.mixing}, which is at the first tap",
    ),
    _note(
        lambda f: "evaluate_ema" in f.changed and not f.ema,
        "--noevaluate_ema does nothing without --ema",
    ),
    _note(lambda f: f.idle, "{f.idle}"),
    _note(
        lambda f: f.ramps and f.steps_per_execution > 1,
        "--ramps moves levels once in {f.steps_per_execution} steps, "
        "which are one execution",
    ),
)
OF_DEVICES = (
    Interaction(
        lambda f, d: (f.batch_size or 0) % d.count,
        "--batch_size={f.batch_size} does not split into equal parts for "
        "{d.count} devices: give a multiple of {d.count}.",
    ),
    Interaction(
        lambda f, d: f.jit_compile == "true" and d.count > 1,
        "--jit_compile=true compiles a step for one device, but {d.count} "
        "share it: give auto or false (on TPUs everything is compiled in any "
        "case).",
    ),
    Interaction(
        lambda f, d: (f.accumulation_steps or 1) > 1 and d.sums,
        "--accumulation_steps={f.accumulation_steps} does not go with "
        "--strategy={f.strategy}: leave it out and give a larger batch, or "
        "take --strategy=single.",
    ),
    Interaction(
        lambda f, d: (
            (f.steps_per_execution or 1) > 1
            and (d.sums, d.count > 1, d.kind == "TPU") == (True, True, False)
        ),
        "--steps_per_execution={f.steps_per_execution} does not go with "
        "{d.count} devices, where Keras cannot loop over steps: leave it out.",
    ),
    Interaction(
        # A new optimizer is made by all machines at once, or they wait.
        lambda f, d: f.freeze_epochs and d.machines,
        "--freeze_epochs={f.freeze_epochs} does not go with "
        "--strategy=multi_worker, whose machines go on in one phase only: "
        "leave it out.",
    ),
    Interaction(
        lambda f, d: f.data_service and d.machines,
        "--data_service serves one trainer: leave it out with "
        "--strategy=multi_worker, whose machines make a part of each batch.",
    ),
    _note(
        lambda f, d: (
            f.jit_compile == "true" and f.deterministic and d.kind == "GPU"
        ),
        "XLA has no deterministic form of some operations on a GPU; if "
        "the first step says so, give --jit_compile=false or --nodeterministic",
    ),
    _note(
        lambda f, d: f.ramps and d.kind == "TPU",
        "--ramps sends levels from the host to the TPU in every step",
    ),
    _note(
        lambda f, d: f.precision == "mixed_float16" and d.kind == "CPU",
        "a CPU computes --precision=mixed_float16 more slowly than "
        "float32; it is for GPUs",
    ),
    _note(
        lambda f, d: (
            f.strategy == "mirrored" and (d.kind, d.count) == ("CPU", 1)
        ),
        "--strategy=mirrored shares batches among accelerators, of which "
        "none was found: the CPU does all of the work",
    ),
    _note(
        lambda f, d: f.sync_batch_norm and d.count == 1,
        "--sync_batch_norm has nothing to join on one device",
    ),
)


class _Flags(types.SimpleNamespace):
    def __getattr__(self, name):
        return None


def _idle(config, changed):
    """Words for those of `changed` that are options of parts not chosen."""
    for registry in config.PARTS:
        flags = {
            name: {flag for flag, _ in flags_in(options_of(registry, name))}
            for name in registry.names()
        }
        chosen = getattr(config, registry.kind)
        for flag in sorted(changed & set().union(*flags.values())):
            if flag not in flags[chosen]:
                yield f"--{flag} does nothing with --{registry.kind}={chosen}"


def check(config, devices=None) -> None:
    """Says what the `Options` of a command come to, or refuses them.

    What does not go together is a `UsageError`. With the `devices.Devices` it
    is what flags and devices tell; without, before TensorFlow is imported, what
    flags alone do, and whether paths lead anywhere.
    """
    fields = dataclasses.fields(config)
    changed = {x.name for x in fields if vars(config)[x.name] != x.default}
    idle = "; ".join(_idle(config, changed))
    f = _Flags(**vars(config), changed=changed, idle=idle)
    table, given = OF_DEVICES, (f, devices)
    if devices is None:
        places.check_there(config)
        table, given = OF_FLAGS, (f,)
    for each in table:
        if each.holds(*given):
            words = each.words.format(f=f, d=devices)
            if each.is_refused:
                raise UsageError(words)
            warn(f"note: {words}")
