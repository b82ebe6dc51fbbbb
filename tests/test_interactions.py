"""What flags mean to each other and to devices: a row for each entry."""

import dataclasses

import pytest

from noisymix_tf import interactions
from noisymix_tf.commands.evaluate import EvaluateConfig
from noisymix_tf.config import Config
from noisymix_tf.devices import Devices
from support import ROOT
from support.usage import assert_usage_error, parsed

CPU = Devices("CPU", ("CPU:0",), None, 1, machines=False, sums=False)
GPU, TPU = (CPU._replace(kind=kind) for kind in ("GPU", "TPU"))
TWO = GPU._replace(count=2, sums=True)
MANY = TWO._replace(machines=True)
PICTURES = f"views=pixmix mixing_dir={ROOT}"
IDLE = "augment_on=device views=none stability=none flip=false"
RATE = "extend=true learning_rate=0.1 base_batch_size=64 final_learning_rate"
RAMP, MORE = "ramps=alpha:0:0:1", "steps_per_execution=2"
STD, TAP = "noise_scale=std additive_noise=0", "noise_per_tap=1,2"
NONE = "additive_noise=0 multiplicative_noise=0"
BARE, RAW = "stability=none", "evaluate_ema=false"
HALF = "mixing_probability=0.5"
GROW = "ramps=additive_noise:1:0:1"
JIT, CROP = "jit_compile=true", "dataset=imagenet crop_padding=4"
OWN, SERVED = "input=device", "data_service=grpc://a:1"
INIT = f"init={ROOT}"
KERAS = "model=applications/ResNet50"
ADAMW, LION = (f"optimizer={x} learning_rate=1e-3" for x in ("adamw", "lion"))
MODE, NORM = "weight_decay_mode=decoupled", "freeze_batch_norm=true"
HEAD = "epochs=5 freeze_epochs=2 warmup_epochs"
# Flags of an entry and flags that are not, the devices, and what is said.
TABLE = [
    (f"{INIT} model=resnet20", INIT, None, "--model=resnet20 does nothing"),
    (f"{KERAS} width=2", KERAS, None, "--width=2.0 does nothing with --init"),
    (f"{INIT} dropout=0.1", INIT, None, "--dropout=0.1 does nothing with"),
    ("init_head=new", f"{INIT} init_head=new", None, "to --init=FILE: leave"),
    ("weights=imagenet", KERAS, None, "--weights=imagenet belongs to --model"),
    (f"{KERAS} weights=a", KERAS, None, "--weights=a is no file: give imag"),
    ("outputs=probabilities", "outputs=logits", None, "trained give logits"),
    (f"mixing_dir={ROOT}", PICTURES, None, "=augmix: leave it out, or give"),
    ("views=pixmix", PICTURES, None, "--views=pixmix needs pictures to mix"),
    ("data_service=a:1", "", None, "--data_service=a:1 is no address: give"),
    ("dataset=folder", f"data_dir={ROOT}", None, "=folder needs --data_dir"),
    ("tpu=a", "tpu=a strategy=tpu", None, "--strategy=tpu, not to auto."),
    (CROP, f"{CROP} train_crop=pad", None, "=4 belongs to --train_crop=pad"),
    (f"{IDLE} crop_padding=0", IDLE, None, "--augment_on=device has nothing"),
    (f"{OWN} {SERVED}", OWN, None, "takes no batches from --data_service"),
    (f"{OWN} train_crop=resized", OWN, None, "cannot crop and resize images"),
    (f"{ADAMW} nesterov=false", ADAMW, None, "--nonesterov and --weight_dec"),
    (f"{ADAMW} {MODE}", MODE, None, "=sgd; adamw has weight decay decoupled"),
    (f"{LION} momentum=0", LION, None, "--optimizer=lion does not work with"),
    (f"{HEAD}=3", f"{HEAD}=2", None, "--freeze_epochs=2 and --warmup_epochs"),
    (f"{NORM} bn_momentum=0", NORM, None, "--freeze_batch_norm keeps the"),
    (LION[:14], LION, None, "note: --learning_rate=0.1 is a rate for --opt"),
    (f"{RATE}=0.1", f"{RATE}=0.2", None, "--extend ends a run as if --epo"),
    (f"{STD} {NONE}", f"{STD} {GROW}", None, "note: --noise_scale=std is the"),
    (f"{TAP} {NONE}", TAP, None, "note: --noise_per_tap are factors of noi"),
    ("mixing=none alpha=2", "alpha=2", None, "note: --alpha=2.0 does nothin"),
    (f"mixing=none {HALF}", HALF, None, "note: --mixing_probability=0.5 do"),
    (f"{BARE} jsd_weight=5", BARE, None, "note: --jsd_weight=5.0 does noth"),
    (f"{BARE} num_views=4", BARE, None, "note: --num_views=4 does nothing"),
    (f"{TAP} mixing=input", TAP, None, "note: --noise_per_tap: of several"),
    (f"{RAW}", f"{RAW} ema=0.9", None, "note: --noevaluate_ema does nothi"),
    ("puzzle_labels=2 mixing=input", "", None, "note: --puzzle_labels does"),
    (f"{RAMP} {MORE}", RAMP, None, "note: --ramps moves levels once in 2"),
    ("batch_size=7", "batch_size=8", TWO, "give a multiple of 2."),
    (JIT, "", TWO, "for one device, but 2 share it"),
    (MORE, "", TWO, "does not go with 2 devices"),
    ("accumulation_steps=2", "", TWO, "not go with --strategy=auto: leave"),
    (f"{HEAD}=2", f"{HEAD[:8]}", MANY, "=2 does not go with --strategy=multi"),
    (SERVED, "", MANY, "--data_service serves one trainer"),
    (JIT, f"{JIT} deterministic=false", GPU, "note: XLA has no determini"),
    (RAMP, "", TPU, "note: --ramps sends levels"),
    ("precision=mixed_float16", "", CPU, "note: a CPU computes --precision"),
    ("strategy=mirrored", "", CPU, "note: --strategy=mirrored shares"),
    ("sync_batch_norm=true", "", GPU, "note: --sync_batch_norm has nothing"),
]


@pytest.mark.parametrize(("given", "other", "devices", "words"), TABLE)
def test_what_goes_together_is_told(given, other, devices, words, capsys):
    def check(flags):
        line = [f"--{flag}" for flag in flags.split()]
        interactions.check(parsed(Config, *line), devices)
        return capsys.readouterr().err

    assert check(other) == ""
    if words.startswith("note: "):
        assert check(given).startswith(words)
    else:
        assert_usage_error(lambda: check(given), words)


@pytest.mark.parametrize("path", sorted(ROOT.glob("flags/method/*.flags")))
def test_no_method_has_an_idle_option(path, capsys):
    config = parsed(Config, f"--method={path.stem}")
    config = dataclasses.replace(config, train_data_dir=None)
    if interactions.mixes_pictures(config):
        config = dataclasses.replace(config, mixing_dir=str(ROOT))
    interactions.check(config)
    assert capsys.readouterr().err == ""


def test_each_entry_has_a_row_and_an_evaluation_is_checked_too():
    entries = interactions.OF_FLAGS + interactions.OF_DEVICES
    assert len(TABLE) == len(entries) + 1  # One has two rows.
    for devices in (None, TWO):
        interactions.check(parsed(EvaluateConfig, model="a"), devices)
    config = parsed(Config, *"--extend --final_learning_rate=0.1".split())
    interactions.check(config)
    ramp = parsed(Config, "--extend", "--final_learning_rate=0.1", f"--{RAMP}")
    assert_usage_error(lambda: interactions.check(ramp), "--extend ends")
    for flag in ("c_dir=tfds:/none", "reference=/none/a.json"):
        config = parsed(EvaluateConfig, f"--{flag}", model="a")
        words = f"--{flag} does not exist. It is: "
        assert_usage_error(lambda c=config: interactions.check(c), words)
