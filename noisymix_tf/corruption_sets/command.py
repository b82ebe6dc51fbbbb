"""The command line of `python -m noisymix_tf.corruptions`."""

import dataclasses
import sys
import textwrap

from absl import flags

from noisymix_tf import flagfiles, places
from noisymix_tf.config import TestDataConfig
from noisymix_tf.corruption_sets import workers
from noisymix_tf.errors import UsageError
from noisymix_tf.version import __version__

_USAGE = """\
usage: python -m noisymix_tf.corruptions --output_dir=DIR [--flag=value ...]
Writes corrupted copies of a dataset's test images, once, in the layouts of
CIFAR-10-C, CIFAR-10-P and ImageNet-C.
--flagfile=FILE: read flags from a file; later flags override.
"""

# Name, kind (a tuple: the choices), default, help.
_FLAGS = (
    (
        "output_dir",
        str,
        None,
        "Directory of the sets. A command that was killed is continued by the "
        "same command; a directory made with other settings is refused.",
    ),
    (
        "suite",
        ("c", "p"),
        "c",
        "c: corruptions at several severities; p: perturbations, a sequence of "
        "frames for each image.",
    ),
    (
        "corruptions",
        list,
        None,
        "Names, or tags: common, extra, noise, blur, weather, digital; of "
        "suite p cifar, imagenet, cifar_extra, imagenet_extra, noise, blur, "
        "weather, geometry. By default all.",
    ),
    ("severities", list, "1,2,3,4,5", "Severities of suite c."),
    (
        "difficulty",
        int,
        1,
        "How strong the noise of suite p is, 1 to 3; above 1 its files are "
        "called NAME_2.npy and NAME_3.npy.",
    ),
    (
        "crop",
        int,
        None,
        "Side of the square cut from the centre of every frame of suite p. "
        "ImageNet-P has --image_size=256 --crop=224.",
    ),
    ("seed", int, 0, "Seed of everything random."),
    (
        "table",
        ("auto", "cifar", "imagenet"),
        "auto",
        "Severities made for 32 pixels (cifar) or for 224 (imagenet); auto: "
        "cifar below 64 pixels.",
    ),
    (
        "frost_folder",
        str,
        None,
        "Folder of pictures of frost, instead of those drawn by this package.",
    ),
    (
        "layout",
        ("auto", "arrays", "tree"),
        "auto",
        "arrays: NAME.npy and labels.npy, as CIFAR-10-C; tree: "
        "NAME/SEVERITY/CLASS/IMAGE.JPEG, as ImageNet-C; auto: a tree where the "
        "test images are files.",
    ),
    (
        "format",
        ("jpeg", "png"),
        "jpeg",
        "Of a tree. jpeg: quality 85, as the released ImageNet-C, which "
        "softens noise a little; png: the very pixels, several times the size.",
    ),
    ("processes", int, 0, "Worker processes; 0: one for each core."),
)


def run(argv):
    """Writes the sets that a command line asks for; `--help` prints flags."""
    values = _define()
    if {"--help", "-h"} & set(argv[1:]):
        print(_help())
        return
    if "--version" in argv[1:]:
        print(f"noisymix_tf {__version__}")
        return
    given = _parse(values, argv)
    places.check_local(
        **{
            f"--{name}": given[name].value
            for name in ("output_dir", "data_dir", "frost_folder")
        }
    )
    places.check_writable(given.output_dir, "sets")
    places.check_apart(given.flag_values_dict())

    from noisymix_tf import corruption_sets, data

    dataset = data.load(
        given.dataset,
        data_dir=given.data_dir,
        image_size=given.image_size,
        preprocess=given.preprocess,
        test_examples=given.test_examples,
    )
    path = corruption_sets.write(
        dataset,
        given.output_dir,
        suite=given.suite,
        names=given.corruptions or None,
        severities=_whole_numbers(given.severities),
        difficulty=given.difficulty,
        crop=given.crop,
        seed=given.seed,
        table=given.table,
        frost_folder=given.frost_folder,
        layout=given.layout,
        image_format=given.format,
        processes=given.processes or workers.cores(),
    )
    print(f"Written: {path}", file=sys.stderr)


def _define():
    """The flags, in a holder of their own."""
    values = flags.FlagValues()
    makers = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        list: flags.DEFINE_list,
    }
    for name, kind, default, words in _all_flags():
        if isinstance(kind, tuple):
            flags.DEFINE_enum(name, default, kind, words, values)
        else:
            makers[kind](name, default, words, flag_values=values)
    return values


def _all_flags():
    for field in dataclasses.fields(TestDataConfig):
        words = field.metadata["help"].replace("Evaluate on", "Use")
        yield field.name, field.metadata["kind"], field.default, words
    yield from _FLAGS


def _parse(values, argv):
    try:
        rest = values([argv[0], *flagfiles.expand(argv[1:])])
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from error
    if len(rest) > 1:
        raise UsageError(
            f"Unexpected argument {rest[1]!r}: flags have the form "
            f"--name=value (see --help)."
        )
    return values


def _whole_numbers(parts):
    try:
        return tuple(int(part) for part in parts)
    except ValueError as error:
        raise UsageError(
            f"--severities={','.join(parts)} must be a list of numbers from 1 "
            f"to 5."
        ) from error


def _help():
    parts = [_USAGE]
    for name, kind, default, words in _all_flags():
        if isinstance(kind, tuple):
            words = f"{words} One of {', '.join(kind)}."
        if default is not None:
            words = f"{words} (default: {default})"
        parts.append(
            textwrap.fill(
                words,
                78,
                initial_indent=f"  --{name}: ",
                subsequent_indent="      ",
            )
        )
    return "\n".join(parts)
