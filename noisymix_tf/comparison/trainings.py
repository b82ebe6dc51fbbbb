"""The trainings of a comparison: which, where, and whether they are done."""

import dataclasses
import pathlib

from absl import flags

from noisymix_tf import run_folder
from noisymix_tf.comparison import arguments, budget, methods, runs
from noisymix_tf.config import Config
from noisymix_tf.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Training:
    """One method with one seed.

    Attributes:
        name: What its method's folder is called.
        config: `noisymix_tf.config.Config`.
        folder: Directory of the run.
    """

    name: str
    config: Config
    folder: pathlib.Path

    @property
    def title(self):
        """`"AugMix, seed 1"`."""
        return f"{methods.title(self.name)}, seed {self.config.run.seed}"

    @property
    def flagfile(self):
        """Beside the run: all its flags, for `python -m noisymix_tf.train`."""
        return self.folder.with_name(f"{self.folder.name}.flags")

    @property
    def log(self):
        """Beside the run: what its process says."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def text(self):
        """All its flags, a line each."""
        lines = [x for x in self.config.flags().values() if x is not None]
        return "\n".join(lines) + "\n"

    def is_finished(self):
        """Whether it has ended well with these very flags."""
        return (
            self._mark.is_file()
            and self._mark.read_text() == self.text
            and (self.folder / runs.REPORT).is_file()
        )

    def prepare(self):
        """Writes the flagfile of a training that is about to begin."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._mark.unlink(missing_ok=True)
        self.flagfile.write_text(self.text)

    def mark_finished(self):
        """Keeps that it has ended well, after the last of its files."""
        self.flagfile.replace(self._mark)
        self.flagfile.write_text(self.text)

    @property
    def _mark(self):
        return self.folder.with_name(f".{self.folder.name}.finished")


def plan(words, config, folder, flag_values=flags.FLAGS):
    """All trainings of a comparison, every method once before the next seed.

    Args:
        words: The command line, from `arguments.flat`.
        config: `noisymix_tf.config.compare.CompareConfig`.
        folder: Directory of the comparison.
        flag_values: Holder of the flags.

    Returns:
        List of `Training`.

    Raises:
        UsageError: A method is not known, its flags do not go together or
            name a tree of images that is not there, the methods' own flags
            differ in what a comparison must keep equal, or a training of other
            flags lies where one of these belongs.
    """
    folder = pathlib.Path(folder)
    seeds = tuple(dict.fromkeys(config.comparison.seeds or (config.run.seed,)))
    chosen = tuple(dict.fromkeys(config.comparison.methods))
    names = {method: arguments.name_of(method) for method in chosen}
    if len(set(names.values())) < len(names):
        raise UsageError(
            f"--methods={','.join(chosen)} names two methods alike: rename a "
            f"flagfile."
        )
    trainings = [
        Training(
            names[method],
            arguments.training(words, method, seed, place, flag_values),
            place,
        )
        for seed in seeds
        for method in chosen
        for place in [folder / names[method] / f"seed{seed}"]
    ]
    if not config.comparison.compare_anyway:
        own = {t.name: t.config.flags() for t in trainings}
        budget.check(budget.differences_of_flags(own))
    for training in trainings:
        if not training.is_finished():
            _check_trees(training)
        if (training.folder / runs.FLAGS).is_file():
            run_folder.check_flags(training.folder, training.config)
    return trainings


def _check_trees(training):
    """Refuses, before hours of other trainings, what one would miss."""
    data = training.config.data
    trees = {"extra_data_dirs": data.extra_data_dirs}
    if data.train_data_dir is not None:
        trees["train_data_dir"] = (data.train_data_dir,)
    for flag, paths in trees.items():
        for path in paths:
            if not pathlib.Path(path).is_dir():
                raise UsageError(
                    f"Method {training.name}: --{flag}={path} is no folder; "
                    f"make it first, as its flagfile says (python -m "
                    f"noisymix_tf.stylize, python -m noisymix_tf.deepaugment), "
                    f"or leave the method out."
                )
