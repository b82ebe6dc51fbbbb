"""Flags: every flagfile parses, every mistake is one clear line."""

import functools
import re

import keras
import pytest
import tensorflow as tf

from noisymix_tf import command_line, flagfiles, train
from noisymix_tf.commands.toy import ToyConfig
from noisymix_tf.comparison.trainings import AllFlags, CompareConfig
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError
from support import ROOT, door_processes
from support.usage import assert_usage_error, parsed

# Of doors that do not train one network: their flags, and the configuration.
DOORS = {"toy": (ToyConfig, None), "compare": (CompareConfig, AllFlags)}

_parse = functools.partial(parsed, Config)


def test_methods_compose_and_effective_flags_repeat_the_configuration(
    tmp_path, monkeypatch
):
    assert _parse() == Config()
    assert _parse("--method=noisymix") == Config(method="noisymix")
    line = "--flagfile=flags/quickstart.flags --method=baseline --alpha=0.3"
    config = _parse(*line.split())
    assert (config.method, config.stability) == ("baseline", "none")
    assert (config.alpha, config.dataset) == (0.3, "digits")
    assert _parse("--stability=none", "--num_views=1").num_views == 1
    assert _parse("--adversary_eps=8/255") == Config()  # Was a mistake.
    # Further views take the last factor.
    assert _parse("--noise_per_view=1").noise_per_view == (1.0,)
    assert _parse("--num_views=2").noise_per_view == (1.0, 2.0, 3.0)
    monkeypatch.setenv("HOME", "/me")
    config = _parse("--output_dir=~/a", "--extra_data_dirs=~/b,c~/d")
    assert config.output_dir == "/me/a"
    assert config.extra_data_dirs == ("/me/b", "c~/d")
    line = "--method=nfm --learning_rate=0.123456789 --nonesterov --noflip"
    lists = ("--taps=normalize,stage2", "--severities=1,5")
    config = _parse(*line.split(), *lists)
    path = tmp_path / "flags.txt"
    path.write_text("\n".join(filter(None, config.flags().values())))
    assert _parse(f"--flagfile={path}") == config


def test_every_flagfile_parses_and_methods_name_their_source():
    for path in (ROOT / "flags").rglob("*.flags"):
        text = path.read_text()
        door = re.search(r"python -m noisymix_tf (\w+) --flagfile", text)
        config, known = DOORS.get(door and door[1], (Config, None))
        made = parsed(config, f"--flagfile={path}", known=known)
        assert isinstance(made, config)
        assert text.startswith("# "), path
    methods = flagfiles.names("method")
    assert {"noisymix", "puzzlemix", "randaugment", "baseline"} <= set(methods)
    for method in methods:
        assert _parse(f"--method={method}").method == method
        text = (ROOT / f"flags/method/{method}.flags").read_text()
        assert re.search(r"^# .*arXiv:\d{4}\.\d{5}", text, re.MULTILINE), method


@pytest.mark.parametrize("before", ["noisymix", "cutmix"])
def test_a_method_is_the_same_whatever_came_before(before):
    for method in flagfiles.names("method"):
        alone = _parse(f"--method={method}")
        after = _parse(f"--method={before}", f"--method={method}")
        for name in _parts(alone):
            assert getattr(after, name) == getattr(alone, name), (method, name)


def _parts(method):
    noise = method.additive_noise or method.multiplicative_noise
    compared = method.stability != "none"
    parts = {
        "method views stability mixing ramps": True,
        "additive_noise multiplicative_noise": True,
        "augmix_severity augmix_width augmix_depth": method.views == "augmix",
        "augmix_alpha augmix_all_ops": method.views == "augmix",
        "policy_cutout": method.views.startswith(("auto", "rand", "trivial")),
        "randaugment_num_ops randaugment_scale": method.views == "randaugment",
        "randaugment_magnitude": method.views == "randaugment",
        "gaussian_level": method.views == "gaussian",
        "jsd_weight num_views": compared,
        "alpha mixing_probability": method.mixing != "none",
        "taps": method.mixing == "manifold",
        "noise_sparsity": noise,
        "noise_per_view": method.additive_noise and compared,
    }
    return " ".join(names for names, used in parts.items() if used).split()


def test_mistakes_are_one_line(monkeypatch):
    monkeypatch.chdir(ROOT)
    for arguments, words in (
        ("--method=nope", "Unknown method 'nope'. Known: adversarial, "),
        ("--alpha=-1", "--alpha=-1.0 must be at least 0."),
        ("--alpha=nan", "--alpha=nan must be finite"),
        ("--noise_per_view=1,inf", "--noise_per_view=1.0,inf must be finite"),
        ("--noise_sparsity=1.5", "--noise_sparsity=1.5 must be in [0, 1]."),
        ("--augmix_severity=11", "--augmix_severity=11.0 must be from 0.1"),
        ("--epochs=many", "many"),
        ("--mixing=blend", "Unknown mixing 'blend'. Known: none, in"),
        ("--severities=a", "severities: 'a' must be a number of 1 to 5"),
        ("--noise_per_view=-1,1", "=-1.0,1.0 must be a list of numbers of at"),
        ("--noise_per_view=1,2,3,4", "but --num_views=3: leave out 4.0."),
        ("--eps=8", "eps=8 is more than the largest distance of two images"),
        ("--l2_eps=-1", "l2_eps='-1' must be a number of at least 0"),
        ("--adversary_eps=lots", "in grey levels of pixels 0 to 255, of wh"),
        ("--adversary_eps=8/0", "the fraction='8/0' must be a number of"),
        ("--adversary=pgd --adversary_step_size=0.0078", "levels, as eps=8"),
        ("--adversary=fast --adversary_eps=0.0314", "0..255: for 0.0314"),
        ("--taps=", "--taps= must be a list of at least one."),
        ("--views=none", "--stability=jsd compares several views"),
        ("--stability=kl --num_views=1", "--stability=kl compares several"),
        ("--puzzle_labels=5", "--puzzle_labels=5 must be from 2 to 4."),
        ("--flagfile=none.flags", "In flags of this package: cifar10_nois"),
        ("--flagfile=method/none", "In flags/method of this package: adver"),
        ("--flagfile", "--flagfile needs a value: give --flagfile=NAME."),
        ("--flagfile=flags/method/none.flags", "In flags/method: adversarial"),
        ("--nosuchflag=1", "Unknown command line flag 'nosuchflag'"),
        ("stray", "Unexpected argument 'stray'"),
    ):
        assert_usage_error(lambda a=arguments: _parse(*a.split()), words)


def test_a_mistake_arrives_as_it_was_raised():
    """TensorFlow and Keras would put pages around it."""

    def refuse(x):
        raise UsageError("value=3 must be 4: give 4.")

    for call in (tf.function(refuse), keras.layers.Lambda(refuse)):
        line = assert_usage_error(lambda call=call: call(tf.ones([2])))
        assert line == "value=3 must be 4: give 4."


def test_help_names_every_flag(capsys):
    def printed(flag):
        with pytest.raises(SystemExit) as stop:
            train.main(["train", flag])
        assert stop.value.code == 0
        return capsys.readouterr().out

    short, text = printed("--help"), printed("--helpfull")
    assert len(re.findall("^  --", short, re.MULTILINE)) == 11
    assert set(Config().flags()) <= {*short.split(), "method", "seed"}
    for name in Config().flags():
        assert f"{name}: " in text
    assert "\n  python -m noisymix_tf.train --flagfile=quickstart\n" in text
    known = ", ".join(flagfiles.names("method"))
    assert f"Known: {known}." in " ".join(text.split())


PARTS = "--plugins=tests/support/own_parts.py"
LINE = (
    f"{PARTS} --flagfile=flags/quickstart.flags --model=linear --taps=stage1 "
    "--views=dim --dim_by=3 --num_views=2 --adversary=grey --grey_levels=2 "
    "--mixing=halves --halves_place=0.25 --epochs=1 --train_examples=64 "
    "--test_examples=20 --batch_size=32 --suites=clean,c,negative "
    "--corruptions=darker --severities=2 --noexport --notensorboard"
).split()


def run(*words):
    done = door_processes.run("noisymix_tf", *map(str, words))
    assert done.returncode == 0, done.stderr
    return done


def test_a_file_of_ones_own_parts_trains_evaluates_and_compares(tmp_path):
    folder = tmp_path / "runs" / "own"
    said = run("train", *LINE, f"--output_dir={folder}").stdout
    assert "Accuracy on negatives" in said
    flags = (folder / "flags.txt").read_text().split()
    own = {"--halves_place=0.25", "--dim_by=3", "--grey_levels=2.0", PARTS}
    assert {*own, "--mixing=halves"} <= {*flags}
    assert " Negatives |" in run("compare", PARTS, folder.parent).stdout
    text = run("train", PARTS, "--helpfull").stdout
    for flag in ("halves_place", "dim_by", "grey_levels"):
        assert f"--{flag}: " in text
    assert "Known: none, augmix" in " ".join(text.split()) and "linear" in text
    assert "\n  hello " in run(PARTS, "--help").stdout
    assert run("hello", PARTS, "you").stdout == f"hello {PARTS} you\n"
    line = f"benchmark nothing {PARTS} --model=linear --rounds=2"
    assert run(*line.split()).stdout.endswith("2 times nothing, linear\n")


@pytest.mark.parametrize("path", ["none.py", "tests", "README.md", "setup.cfg"])
def test_what_is_no_file_of_parts_is_one_line(path):
    call = functools.partial(command_line.load_plugins, ["--plugins", path])
    assert_usage_error(call, f"--plugins={path} is no Python file")
