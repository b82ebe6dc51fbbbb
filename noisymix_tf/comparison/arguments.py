"""Command lines of a comparison, and of the trainings that it stands for."""

import dataclasses
import pathlib

from absl import flags

from noisymix_tf import command_line, flagfiles
from noisymix_tf.config import Config
from noisymix_tf.config.compare import ComparisonConfig
from noisymix_tf.errors import UsageError

_FLAGFILE = ".flags"


def tidy(arguments, flag_values=flags.FLAGS):
    """Every flag as one word; what is no flag goes to `--runs`.

    Args:
        arguments: The command line without the program's name.
        flag_values: Holder of the flags, all defined.

    Returns:
        List of str.

    Example:

    >>> tidy(["runs/a", "--epochs", "3", "runs/b"])
    ['--epochs=3', '--runs=runs/a,runs/b']
    """
    words, runs = [], []
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            runs.extend(rest)
        elif not word.startswith("-"):
            runs.append(word)
        elif _is_whole(word, flag_values):
            words.append(word)
        else:
            value = next(rest, None)
            words.append(word if value is None else f"{word}={value}")
    # Those of --runs= count too, and the last flag of a name wins.
    named = [w for w in words if _name(w, flag_values) == "runs"]
    runs = [w.partition("=")[2] for w in named] + runs
    words = [w for w in words if w not in named]
    return [*words, f"--runs={','.join(runs)}"] if runs else words


def flat(words, flag_values=flags.FLAGS):
    """A tidy command line, expanded as by `flagfiles.expand`."""
    return tidy(flagfiles.expand(words), flag_values)


def given(words, flag_values=flags.FLAGS):
    """Names of the flags on a flat command line."""
    return {_name(word, flag_values) for word in words}


def training(words, method, seed, output_dir, flag_values=flags.FLAGS):
    """The configuration of one training of a comparison.

    Args:
        words: The flat command line of the comparison, with `--methods`.
        method: Name of a method, or path of a flagfile.
        seed: int.
        output_dir: Directory of the training.
        flag_values: Holder of the comparison's flags.

    Returns:
        `noisymix_tf.config.Config`.

    Raises:
        UsageError: The method is not known, or its flags do not go together
            with the others.
    """
    own = {field.name for field in dataclasses.fields(ComparisonConfig)}
    line = []
    names = [_name(word, flag_values) for word in words]
    last = max(k for k, name in enumerate(names) if name == "methods")
    for place, (name, word) in enumerate(zip(names, words)):
        if place == last:
            line += _method(method, flag_values)
        elif name not in own:
            line.append(word)
    line += [f"--seed={seed}", f"--output_dir={output_dir}"]
    values = flags.FlagValues()
    command_line.define_flags(values, config=Config)
    try:
        return command_line.parse_expanded(["train", *line], values)
    except UsageError as error:
        raise UsageError(f"Method {method}: {error}") from error


def name_of(method):
    """What the folder of a method is called."""
    if method.endswith(_FLAGFILE):
        return pathlib.Path(method).name.removesuffix(_FLAGFILE)
    return method


def _method(method, flag_values):
    """The flags of a method, in place of `--methods`."""
    if not method.endswith(_FLAGFILE):
        return flat([f"--method={method}"], flag_values)
    path = flagfiles.find(method, "--methods")
    own = flat([f"--flagfile={path}"], flag_values)
    return [*own, f"--method={name_of(method)}"]


def _is_whole(word, flag_values):
    """Whether the next word is not the value of this flag."""
    name = word.lstrip("-")
    if "=" in name or name in ("h", "help"):
        return True
    if name in ("flagfile", "undefok"):
        return False
    # What is not known is left to the parser, which says so.
    return name not in flag_values or flag_values[name].boolean


def _name(word, flag_values):
    """The name of a flag: of `--epochs=3`, `--flip` or `--noflip`."""
    name = word.lstrip("-").partition("=")[0]
    positive = name.removeprefix("no")
    if name not in flag_values and positive in flag_values:
        return positive
    return name
