"""Flags: every flagfile parses, every mistake is one clear line."""

import pathlib

import pytest
from absl import flags

from noisymix_tf import command_line
from noisymix_tf.config import Config, MethodConfig
from noisymix_tf.errors import UsageError

ROOT = pathlib.Path(__file__).resolve().parents[1]
FLAGFILES = sorted((ROOT / "flags").rglob("*.flags"))
METHODS = (
    "augmix augmix_manifold baseline manifold_mixup mixup nfm "
    "noise_injection noisymix"
).split()


def _parse(*arguments):
    values = flags.FlagValues()
    command_line.define_flags(values)
    flags.DEFINE_string("flagfile", "", "As absl's own.", flag_values=values)
    return command_line.parse(["train", *arguments], values)


@pytest.fixture(autouse=True)
def _in_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_defaults_are_noisymix():
    assert _parse() == Config()
    noisymix = _parse("--method=noisymix").method
    assert noisymix == MethodConfig(method="noisymix")


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda path: path.stem)
def test_every_flagfile_parses_and_says_what_it_is(path):
    assert isinstance(_parse(f"--flagfile={path}"), Config)
    assert path.read_text().startswith("# ")


def test_methods_have_flagfiles_that_name_themselves():
    assert command_line.methods() == METHODS
    for method in METHODS:
        assert _parse(f"--method={method}").method.method == method


def test_method_stands_for_its_flagfile_and_later_flags_override():
    config = _parse(
        "--flagfile=flags/quickstart.flags", "--method=baseline", "--alpha=0.3"
    )
    assert config.method.method == "baseline"
    assert config.method.stability == "none"
    assert config.method.alpha == 0.3
    assert config.data.dataset == "digits"


def test_effective_flags_repeat_the_configuration(tmp_path):
    config = _parse(
        "--method=nfm",
        "--learning_rate=0.123456789",
        "--nonesterov",
        "--noflip",
        "--taps=normalize,stage2",
        "--severities=1,5",
    )
    lines = [line for line in config.flags().values() if line]
    path = tmp_path / "flags.txt"
    path.write_text("\n".join(lines))
    assert _parse(f"--flagfile={path}") == config


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--method=nope", "Unknown method 'nope'. Known: augmix, "),
        ("--alpha=-1", "--alpha=-1.0 must be at least 0."),
        ("--noise_sparsity=1.5", "--noise_sparsity=1.5 must be in [0, 1]."),
        ("--augmix_severity=11", "--augmix_severity=11.0 must be from 0.1"),
        ("--batch_size=0", "--batch_size=0 must be at least 1."),
        ("--epochs=many", "many"),
        ("--mixing=blend", "--mixing=blend: value should be one of"),
        ("--severities=1,9", "--severities=1,9 must be a list of numbers"),
        ("--severities=a", "--severities=a must be a list of whole numbers."),
        ("--noise_per_view=1,x", "--noise_per_view=1,x must be a list"),
        ("--taps=", "--taps= must be a list of at least one."),
        ("--views=none", "--stability=jsd compares several views"),
        ("--flagfile=none.flags", "--flagfile=none.flags cannot be opened."),
        (
            "--flagfile=flags/method/none.flags",
            "In flags/method: augmix.flags, ",
        ),
        ("--nosuchflag=1", "Unknown command line flag 'nosuchflag'"),
        ("stray", "Unexpected argument 'stray'"),
    ],
)
def test_mistakes_are_one_line(argument, message):
    with pytest.raises(UsageError) as error:
        _parse(argument)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_help_names_every_flag(capsys):
    with pytest.raises(SystemExit) as stop:
        _parse("--help")
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name in Config().flags():
        assert f"{name}: " in text
