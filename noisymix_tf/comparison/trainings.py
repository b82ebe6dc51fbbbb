"""The trainings of a comparison: which, where, and whether they are done."""

import dataclasses
import pathlib

from noisymix_tf import command_line, flagfiles, run_folder
from noisymix_tf.comparison import rows, runs
from noisymix_tf.comparison.options import AllFlags
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Training:
    """One method with one seed: its name, its `Config`, and its directory."""

    name: str
    config: Config
    folder: pathlib.Path

    # Beside the run: all its flags, for `python -m noisymix_tf.train`; what its
    # process says; and the flags that it has ended well with.
    flagfile = property(lambda self: self._beside("{}.flags"))
    log = property(lambda self: self._beside("{}.log"))
    _mark = property(lambda self: self._beside(".{}.finished"))

    def _beside(self, form):
        return self.folder.with_name(form.format(self.folder.name))

    @property
    def title(self):
        return f"{rows.title_of(self.name)}, seed {self.config.seed}"

    @property
    def text(self):
        """All its flags, a line each."""
        lines = filter(None, self.config.flags().values())
        return "".join(f"{line}\n" for line in lines)

    def is_finished(self):
        """Whether it has ended well with these very flags."""
        is_marked = self._mark.is_file() and self._mark.read_text() == self.text
        report = self.folder / runs.EVALUATION / runs.REPORT
        return is_marked and report.is_file()

    def prepare(self):
        """Writes the flagfile of a training that is about to begin."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._mark.unlink(missing_ok=True)
        self.flagfile.write_text(self.text)

    def mark_finished(self):
        """Keeps that it has ended well, after the last of its files."""
        self.flagfile.replace(self._mark)
        self.flagfile.write_text(self.text)


def plan(words, config):
    """All trainings of a comparison, every method once before the next seed.

    Of a command line, from `flagfiles.expand`, and its `CompareConfig`.
    """
    trainings = []
    names = {method: _name(method) for method in config.methods}
    if len(set(names.values())) < len(names):
        raise UsageError(
            f"--methods={','.join(names)} names two methods alike: rename a "
            f"flagfile."
        )
    known = [rows.Row(rows.title_of(name), name) for name in names.values()]
    rows.pick(config.baseline, known)
    for seed in dict.fromkeys(config.seeds or (config.seed,)):
        for method, name in names.items():
            folder = pathlib.Path(config.output_dir, name, f"seed{seed}")
            own = _config(words, method, seed, folder)
            trainings.append(Training(name, own, folder))
    if not config.compare_anyway:
        rows.check(rows.budgets({t.name: t.config.flags() for t in trainings}))
    for training in trainings:
        if not training.is_finished():
            _check_trees(training)
        if (training.folder / runs.FLAGS).is_file():
            run_folder.check_flags(training.folder, training.config)
    return trainings


def _name(method):
    """What the folder of a method is called."""
    return pathlib.Path(method).stem if method.endswith(".flags") else method


def _config(words, method, seed, folder):
    """The `Config` of a method, whose flags stand where `--methods` does."""
    names = [word.lstrip("-").partition("=")[0] for word in words]
    place = max(k for k, name in enumerate(names) if name == "methods")
    is_file = method != _name(method)
    path = is_file and flagfiles.find(method, "--methods")
    own = flagfiles.expand([f"--flagfile={path or flagfiles.method(method)}"])
    own.append(f"--method={_name(method)}")
    line = [*words[:place], *own, *words[place:]]
    line += [f"--seed={seed}", f"--output_dir={folder}"]
    try:
        return command_line.parse_words(line, Config, AllFlags)
    except UsageError as error:
        raise UsageError(f"Method {method}: {error}") from error


def _check_trees(training):
    """Refuses, before hours of other trainings, what one would miss."""
    data = training.config
    trees = [("extra_data_dirs", path) for path in data.extra_data_dirs]
    trees += [("train_data_dir", data.train_data_dir)]
    for flag, path in trees:
        if path is not None and not pathlib.Path(path).is_dir():
            raise UsageError(
                f"Method {training.name}: --{flag}={path} is no folder; make "
                f"it first, as its flagfile says, or leave the method out."
            )
