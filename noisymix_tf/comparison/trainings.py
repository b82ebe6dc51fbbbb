"""The flags of a comparison, and the trainings that they ask for."""

import dataclasses
import pathlib

from noisymix_tf import command_line, flagfiles, interactions, run_folder
from noisymix_tf.comparison import differences, runs, table
from noisymix_tf.config import Config, RunConfig
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.options import EvaluationConfig
from noisymix_tf.marked import WriteToOptions
from noisymix_tf.options import AT_LEAST_1, option


@dataclasses.dataclass(frozen=True)
class ComparisonConfig(WriteToOptions):
    """What is compared."""

    runs: tuple[str, ...] = option(
        (),
        "Directories of runs, of evaluations of any model, or of several of "
        "them; they may be given without --runs=, too.",
    )
    methods: tuple[str, ...] = option(
        (),
        "In place of runs: methods that are trained in turn, each in "
        "OUTPUT_DIR/METHOD/seedN: names of flags/method/, or flagfiles *.flags "
        "of your own. Flags before --methods hold for all and are overridden "
        "by the methods' own, flags behind it override these.",
    )
    seeds: tuple[int, ...] = option(
        (),
        "With methods: seeds that each of them is trained with; by default "
        "that of --seed.",
    )
    jobs: int = option(
        1,
        "With methods: trainings beside each other, each with its share of the "
        "cores. Small networks leave cores idle; on an accelerator, of which "
        "TensorFlow takes all memory, one is right.",
        AT_LEAST_1,
    )
    baseline: str | None = option(
        None,
        "Row that differences are to, by its title or its method; by default "
        "the best of each column.",
    )
    equal_passes: bool = option(
        False,
        "Count an epoch once for each view: a method that compares V views is "
        "trained for --epochs / V of them, so that all methods pass as many "
        "images through the network.",
    )
    curve: bool = option(
        False,
        "Of finished runs of several budgets: compare those of each budget, "
        "and draw every figure against the passes of each training image "
        "through the network, all views counted, a line for each method.",
    )
    compare_anyway: bool = option(
        False,
        "Compare even if budgets or measurements of the runs differ; the "
        "table says how they do.",
    )


@dataclasses.dataclass(frozen=True)
class AllFlags(ComparisonConfig, Config):
    """The flags of a comparison, with those of its trainings."""


@dataclasses.dataclass(frozen=True)
class CompareConfig(ComparisonConfig, RunConfig, EvaluationConfig):
    """What a comparison itself looks at.

    The other flags of a training are judged with those of each method, of
    which they may be a part.
    """


@dataclasses.dataclass(frozen=True)
class Training:
    """One method with one seed, and what lies beside its run's directory."""

    name: str
    config: Config
    folder: pathlib.Path

    # All its flags, for `python -m noisymix_tf.train`; what its process says;
    # and the flags that it has ended well with.
    flagfile = property(lambda self: self.folder.with_suffix(".flags"))
    log = property(lambda self: self.folder.with_suffix(".log"))
    _mark = property(
        lambda self: self.folder.with_name(f".{self.folder.name}.finished")
    )

    @property
    def title(self) -> str:
        return f"{table.title_of(self.name)}, seed {self.config.seed}"

    @property
    def text(self) -> str:
        """All its flags, a line each."""
        lines = filter(None, self.config.flags().values())
        return "".join(f"{line}\n" for line in lines)

    def is_finished(self) -> bool:
        """Whether it has ended well with these very flags."""
        report = self.folder / runs.EVALUATION / runs.REPORT
        if not report.is_file() or not self._mark.is_file():
            return False
        # Versions differ in the order of flags.
        before, now = self._mark.read_text(), self.text
        return sorted(before.splitlines()) == sorted(now.splitlines())

    def prepare(self) -> None:
        """Writes the flagfile of a training that is about to begin."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._mark.unlink(missing_ok=True)
        self.flagfile.write_text(self.text)

    def mark_finished(self) -> None:
        """Keeps that it has ended well, after the last of its files."""
        self.flagfile.replace(self._mark)
        self.flagfile.write_text(self.text)


def plan(words, config) -> list[Training]:
    """All trainings of a comparison, every method once before the next seed.

    Of a command line, from `flagfiles.expand`, and its `CompareConfig`.
    """
    names = {method: _name(method) for method in config.methods}
    if len(set(names.values())) < len(names):
        raise UsageError(
            f"--methods={','.join(names)} names two methods alike: rename a "
            f"flagfile."
        )
    rows = [table.Row(table.title_of(name), name) for name in names.values()]
    table.pick(config.baseline, rows)
    trainings = []
    for seed in dict.fromkeys(config.seeds or (config.seed,)):
        for method, name in names.items():
            folder = pathlib.Path(config.output_dir, name, f"seed{seed}")
            own = _config(words, method, seed, folder)
            if config.equal_passes:
                own = _of_equal_passes(own, method)
            trainings.append(Training(name, own, folder))
    if not config.compare_anyway:
        flags = {each.name: each.config.flags() for each in trainings}
        by = "passes" if config.equal_passes else "epochs"
        differences.check(differences.budgets(flags, by))
    for training in trainings:
        if not training.is_finished():
            _check_trees(training)
        if (training.folder / runs.FLAGS).is_file():
            run_folder.check_flags(training.folder, training.config)
    return trainings


def _name(method):
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


def _of_equal_passes(config, method):
    views = 1 if config.stability == "none" else config.num_views
    if config.epochs % views:
        raise UsageError(
            f"Method {method}: its {views} views do not divide --epochs="
            f"{config.epochs}, which --equal_passes asks for: give a multiple "
            f"of {views}."
        )
    return dataclasses.replace(config, epochs=config.epochs // views)


def _check_trees(training):
    """Refuses, before hours of other trainings, what one would miss."""
    data = training.config
    if data.mixing_dir is None and interactions.mixes_pictures(data):
        raise UsageError(
            f"Method {training.name}: --views={data.views} needs pictures to "
            f"mix with: give --mixing_dir, or leave the method out."
        )
    trees = [("extra_data_dirs", path) for path in data.extra_data_dirs]
    trees += [("train_data_dir", data.train_data_dir)]
    trees += [("mixing_dir", data.mixing_dir)]
    for flag, path in trees:
        if path is not None and not pathlib.Path(path).is_dir():
            raise UsageError(
                f"Method {training.name}: --{flag}={path} is no folder; make "
                f"it first, as its flagfile says, or leave the method out."
            )
