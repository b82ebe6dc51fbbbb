"""One kind of thing, looked up by name."""

from collections.abc import Callable

from noisymix_tf.errors import UsageError


class Registry:
    """Maps names to objects of one kind, in the order of registration.

    Messages call them by their `kind`: `"dataset"`, `"model"`...

    >>> BENCHMARKS = Registry("benchmark")
    >>> @BENCHMARKS.register("step", title="A train step", rounds=20)
    ... def run(config, rounds): ...
    >>> BENCHMARKS.get("step") is run, BENCHMARKS.facts("step")["rounds"]
    (True, 20)
    >>> BENCHMARKS.names()
    ('step',)
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries, self._facts = {}, {}

    def register(self, name: str, **facts) -> Callable:
        """A decorator that files its object under `name`."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")

        def add(entry):
            self._entries[name], self._facts[name] = entry, facts
            return entry

        return add

    def get(self, name: str):
        """The entry; a `UsageError` lists the known names."""
        if name not in self._entries:
            raise UsageError(
                f"Unknown {self.kind} {name!r}. "
                f"Known: {', '.join(self._entries)}."
            )
        return self._entries[name]

    def facts(self, name: str) -> dict:
        """What was said of the entry when it was registered."""
        self.get(name)
        return self._facts[name]

    def names(self) -> tuple[str, ...]:
        """Every registered name."""
        return tuple(self._entries)

    def items(self) -> tuple[tuple, ...]:
        """`(name, entry)` pairs."""
        return tuple(self._entries.items())
