"""Options: a frozen dataclass is a group of flags, and says each fact once.

>>> @dataclasses.dataclass(frozen=True)
... class Noise(Options):
...     '''Noise in the features.'''
...     level: float = option(0.5, "Standard deviation.", AT_LEAST_0)
>>> Noise(level=0.25).flags()["level"]
'--level=0.25'
"""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable

from noisymix_tf.checks import is_real, is_whole
from noisymix_tf.errors import UsageError
from noisymix_tf.places import check_local
from noisymix_tf.registry import Registry


class Range(typing.NamedTuple):
    """Which values an option takes, and the words for it."""

    accepts: Callable
    words: str


def between(low: float, high: float) -> Range:
    """The numbers from `low` to `high`, both included."""
    return Range(lambda v: low <= v <= high, f"from {low} to {high}")


POSITIVE = Range(lambda v: v > 0, "greater than 0")
AT_LEAST_0 = Range(lambda v: v >= 0, "at least 0")
AT_LEAST_1 = Range(lambda v: v >= 1, "at least 1")
SEED = between(0, 2**32 - 1)
SHARE = Range(lambda v: 0 <= v <= 1, "in [0, 1]")
BELOW_1 = Range(lambda v: 0 <= v < 1, "in [0, 1)")
NOT_EMPTY = Range(bool, "a list of at least one")
SEVERITIES = Range(
    lambda v: bool(v) and all(1 <= s <= 5 for s in v),
    "a list of numbers from 1 to 5",
)


def option(
    default,
    help: str,
    range: Range | None = None,
    *,
    choices=None,
    first: bool = False,
    free: bool = False,
    address: bool = False,
    in_grey_levels: bool = False,
    exists: bool = False,
    tree: bool = False,
    flag: str | None = None,
):
    """A field of `Options`, and a flag of the same name and type.

    Args:
        default, help, range: Of the flag.
        choices: Accepted strings, or a `Registry` of what they name; of a list
            those of its items.
        first: Whether `--help` explains it; `--helpfull` explains all.
        free: Whether it may differ when a run is continued, because it does
            not change what is made.
        address: Whether it may be an address such as grpc://HOST:PORT, which
            in other strings stands where a local path should be.
        in_grey_levels: Whether `8/255` may be given for 8.
        exists: Whether it names what is read, of which it is not said how it
            can be made.
        tree: Whether it names a tree of images, in which no command writes;
            `data_dir` is one of a folder.
        flag: Name of the flag, where it is another.
    """
    metadata = dict(locals())
    return dataclasses.field(default=metadata.pop("default"), metadata=metadata)


class Options:
    """A group of flags, or those of several groups that it inherits.

    A part, such as a kind of mixing, is an `Options` too, or is registered with
    one: in Python its fields are arguments, as flags they have its `PREFIX`.

    Attributes:
        PREFIX: Of the flags that a part declares; None where it is no part.
        PARTS: Registries of the parts whose flags a command has.

    Raises:
        UsageError: A value is of another type, out of its range, not finite,
            or an address where a path should be.
    """

    PREFIX: typing.ClassVar[str | None] = None
    PARTS: typing.ClassVar[tuple] = ()

    def __post_init__(self):
        kinds, dashes = self.kinds(), "--" if self.PREFIX is None else ""
        for field in _fields(type(self)):
            name, value = f"{dashes}{field.name}", getattr(self, field.name)
            if value is not None:
                _check(name, value, kinds[field.name][0], field.metadata)
            elif field.default is not None:
                raise UsageError(f"{name} is missing: it cannot be None.")

    def get_config(self) -> dict:
        """Its fields by name, for Keras to save."""
        names = [f.name for f in dataclasses.fields(self) if f.init]
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config) -> "Options":
        return cls(**config)

    @classmethod
    def groups(cls) -> dict[type, list]:
        """The fields of each group, in their order."""
        rest = {field.name: field for field in _fields(cls)}
        found = {}
        for group in cls.__mro__:
            own = vars(group).get("__annotations__", {})
            # Where two groups have a flag, the first one's counts.
            fields = [rest.pop(name) for name in own if name in rest]
            if fields:
                found[group] = fields
        return found

    @classmethod
    @functools.cache
    def kinds(cls) -> dict[str, tuple[type, type | None]]:
        """Types by name, and those of the items of a list."""
        hints = typing.get_type_hints(cls)
        return {f.name: _kind(hints[f.name]) for f in _fields(cls)}

    def flags(self, *, with_free: bool = True) -> dict[str, str | None]:
        """`{name: "--name=value"}` of all flags; of None the line is None."""
        return {
            field.name: _line(field.name, getattr(self, field.name))
            for fields in self.groups().values()
            for field in fields
            if with_free or not field.metadata["free"]
        }

    def arguments(self, options: type) -> dict[str, object]:
        """`{name: value}` of a group, or of a part out of its flags."""
        names = {field.name: flag for flag, field in flags_in(options)}
        return {name: getattr(self, flag) for name, flag in names.items()}

    def built(self, registry: Registry, name: str) -> "Options":
        """The `options_of` a part, out of its flags: mostly the part itself.

        A `UsageError` if one of them cannot be used, or is of its kin only.
        """
        part = options_of(registry, name)
        own = dict(flags_in(part))
        for group in part.groups():
            for field in dataclasses.fields(flags_of(group)):
                value = getattr(self, field.name)
                if field.name not in own and value != field.default:
                    raise UsageError(
                        f"--{field.name}={text(value)} does nothing with "
                        f"--{registry.kind}={name}: leave it out."
                    )
        try:
            return part(**self.arguments(part))
        except UsageError as error:
            raise UsageError(f"--{registry.kind}={name}: {error}") from error


def with_parts(config: type[Options]) -> type[Options]:
    """A command's options with the flags of all parts in its registries.

    A `UsageError` names a flag that two groups of options declare.
    """
    parts = [options_of(r, name) for r in config.PARTS for name in r.names()]
    groups = [flags_of(group) for part in parts for group in part.groups()]
    groups, owners = list(dict.fromkeys(groups)), {}
    for group in groups:
        for field in dataclasses.fields(group):
            owner = owners.setdefault(field.name, group)
            if owner is not group:
                raise UsageError(
                    f"--{field.name} is an option of {owner.__name__} and of "
                    f"{group.__name__}: give one of them another PREFIX."
                )
    groups = [group for group in groups if group not in config.__mro__]
    return _made(config, (), (config, *groups)) if groups else config


def options_of(registry: Registry, name: str) -> type[Options]:
    """The `Options` of a part: it is one, or was registered with `options`."""
    part = registry.get(name)
    is_one = isinstance(part, type) and issubclass(part, Options)
    return part if is_one else registry.facts(name).get("options", Options)


@functools.cache
def flags_of(group: type[Options]) -> type[Options]:
    """What one class of a part declares, as flags."""
    fields = []
    for field in group.groups()[group]:
        of = {"default": field.default, "metadata": field.metadata}
        name = _flag(group, field)
        fields.append((name, field.type, dataclasses.field(**of)))
    return _made(group, fields, (Options,))


def _made(group, fields, bases):
    """Another dataclass that is called as a group is."""
    about = {"__doc__": group.__doc__, "__module__": group.__module__}
    return dataclasses.make_dataclass(
        group.__name__, fields, bases=bases, namespace=about, frozen=True
    )


def _fields(cls):
    """The fields of a class that are arguments, and made by `option`."""
    known = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
    return [f for f in known if f.init and "help" in f.metadata]


def flags_in(part):
    """`(flag, field)` of the options of a part."""
    groups = part.groups().items()
    return [(_flag(group, f), f) for group, fields in groups for f in fields]


def _flag(group, field):
    return field.metadata["flag"] or f"{group.PREFIX or ''}{field.name}"


def text(value) -> str:
    """A value as it is written on a command line."""
    if isinstance(value, tuple | list):
        return ",".join(text(item) for item in value)
    return str(value)


_ARE = {
    int: (is_whole, "a whole number"),
    float: (is_real, "a number"),
    bool: (lambda value: isinstance(value, bool), "True or False"),
}


def _check(name, value, kind, of):
    if not of["address"]:
        check_local(**{name: value})
    is_one, words = _ARE.get(kind, (None, ""))
    if is_one and not is_one(value):
        raise UsageError(f"{name}={value!r} must be {words}.")
    items = value if isinstance(value, tuple) else (value,)
    if not all(math.isfinite(v) for v in items if isinstance(v, float)):
        raise UsageError(
            f"{name}={text(value)} must be finite: neither nan nor inf is a "
            f"number to compute with."
        )
    choices = of["choices"]
    for item in items if choices else ():
        if isinstance(choices, Registry):
            choices.get(item)
        elif item not in choices:
            raise UsageError(
                f"{name}={text(value)} must be one of {', '.join(choices)}."
            )
    if of["range"] and not of["range"].accepts(value):
        raise UsageError(f"{name}={text(value)} must be {of['range'].words}.")


def _kind(hint):
    """`(int, None)` of `int | None`, `(tuple, int)` of `tuple[int, ...]`."""
    if isinstance(hint, types.UnionType):
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is tuple:
        return tuple, typing.get_args(hint)[0]
    return hint, None


def _line(name, value):
    if value is None:
        return None
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={text(value)}"
