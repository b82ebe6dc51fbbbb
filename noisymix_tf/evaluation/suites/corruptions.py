"""The test images as they are, and corrupted: -C and C-bar, CE and mCE."""

import functools
import statistics

from noisymix_tf import corruptions
from noisymix_tf.corruptions import CORRUPTIONS, FAMILIES, SEVERITIES
from noisymix_tf.errors import UsageError
from noisymix_tf.evaluation.images import Images, Reopened
from noisymix_tf.evaluation.metrics import average, value
from noisymix_tf.evaluation.reference import alexnet, ratios
from noisymix_tf.evaluation.sections import Figure, Section, Table
from noisymix_tf.evaluation.suites import core
from noisymix_tf.evaluation.suites.core import SUITES, Column, Suite, Task

_MCE = "mean corruption error"
_GENERATED = (
    "AlexNet's constants are about the released files of ImageNet-C, these "
    "images were generated: not comparable with published mCE."
)
# Options of what is measured beside a cell, and of the cells themselves.
_REPORTED = "adapt", "prior", "failure_share"
OF_CELLS = "corruptions", "severities", "seed", "table", "frost_folder"
OF_CELLS += "c_dir", "released_preprocess"
# The benchmark takes its means over these.
_COMMON = corruptions.names("common")


@SUITES.register("clean")
class Clean(Suite):
    """One cell: the images as the dataset has them."""

    columns = (Column("accuracy"),)

    def tasks(self, job) -> list[Task]:
        return [Task(job.cell("clean"), job.images)]

    def sections(self, scores, context) -> list[Section]:
        ((cell, own),) = scores.items()
        words = ", as they are in the dataset"
        section = Section(
            **core.about(cell, "Clean images", words, label="Clean"),
            figures=core.whole(own, "accuracy"),
            cells={"clean": core.json_values(own, by_class=True)},
            headlines={"Clean accuracy": "accuracy"},
            overview={"clean": {"clean images": own.accuracy}},
        )
        return [section]


@SUITES.register("c")
class CommonCorruptions(core.Benchmark):
    """Corruptions, generated on the fly or read from released files."""

    name, adapts = "c", True
    options = (*_REPORTED, *OF_CELLS)
    columns = (
        Column("mean_accuracy"),
        Column("mean_accuracy_without_noise", "{label} without noise"),
        Column("mce", "{label}, mCE", False, False, measure=_MCE),
    )
    word, titles = "corruption", ("Extra corruptions", "Common corruptions")
    quantity, bars = "accuracy", "accuracy, mean over severities"
    headlines = (
        ("Corruption accuracy", "mean_accuracy"),
        (f"{_MCE[0].upper()}{_MCE[1:]} (mCE)", "mce"),
    )

    def chosen(self, job, table) -> tuple[str, ...]:
        """Names of the corruptions to measure."""
        return job.settings.corruptions

    def tasks(self, job) -> list[Task]:
        of = job.settings
        table = corruptions.table_for(job.images.shape, of.table)
        names = self.chosen(job, table)
        places = [(c, s) for c in names for s in of.severities]
        if getattr(of, f"{self.name}_dir") is not None:
            return _released(job, self.name, places)
        word = f"{corruptions.version(of.frost_folder)}-{table}"
        for name in names:
            CORRUPTIONS.get(name).constants(table)  # Not every table has them.
        own = {"seed": of.seed, "table": table, "frost_folder": of.frost_folder}
        make = functools.partial(corruptions.corrupt, **own)
        return [
            Task(
                job.cell(self.name, name, severity, generator=word),
                job.images,
                functools.partial(make, name=name, severity=severity),
            )
            for name, severity in places
        ]

    def benchmark(self, cells) -> tuple[str, ...]:
        return _COMMON

    def parts(self, scores, main, about, reference, context) -> tuple:
        rows = {}
        for cell in sorted(scores, key=lambda cell: cell.severity):
            rows.setdefault(cell.corruption, {})[cell.severity] = scores[cell]
        severities = tuple(next(iter(rows.values())))
        accuracy = {
            s: {name: row[s].accuracy for name, row in rows.items()}
            for s in severities
        }
        means = {c: average(a[c] for a in accuracy.values()) for c in rows}
        errors = {name: 1.0 - mean for name, mean in means.items()}
        theirs = reference.mean_errors(about["name"], severities)
        theirs = {c: error for c, error in theirs.items() if c in rows}
        ce, relative = ratios(errors, theirs), {}
        # Clean images tell nothing of a model that adapts.
        every = () if next(iter(scores)).adapt else context.scores.items()
        clean = [own for cell, own in every if cell.suite == "clean"]
        if len(clean) == 1 and reference.clean_error is not None:
            both = 1.0 - clean[0].accuracy, reference.clean_error
            relative = ratios(errors, theirs, *both)
        caveats, notes = [], []
        if severities != SEVERITIES:
            listed = ", ".join(map(str, severities))
            caveats += [f"means are over severities {listed} only."]
        if ce and reference == alexnet() and about["source"] == "generated":
            caveats += [_GENERATED]
        name, robust = reference.name, [c for c in ce if c not in relative]
        if name and not theirs:
            notes += [f"the reference {name} has none of these cells: no CE."]
        if relative and robust:
            notes.append(
                "no relative mCE: the reference makes no more errors under "
                f"{', '.join(robust)} than without."
            )
        fails, share = {}, context.failure_share
        for c, row in rows.items() if share and len(clean) == 1 else ():
            fails[c] = failure_point(clean[0].accuracy, row, share)
        columns = [
            *((str(s), "percent", own) for s, own in accuracy.items()),
            ("mean", "percent", means),
            ("CE", "ratio", ce),
            ("fails at", "number", {c: s for c, s in fails.items() if s}),
        ]
        of_table = self.word, columns, _by_family(means)
        fields = {
            "figures": (
                *_figures(means, ce, relative, name),
                *core.quality(scores.values(), "mean"),
                *_failures(fails, share, max(severities)),
            ),
            "table": Table.of(*of_table, heat=len(accuracy) + 1),
            "cells": {
                c: {str(s): core.json_values(own) for s, own in row.items()}
                for c, row in rows.items()
            },
            "caveats": caveats,
            "notes": notes,
            "overview": _overview(accuracy, self.groups(means)),
        }
        theirs = {c: 1.0 - error for c, error in theirs.items()}
        return fields, means, theirs, ce

    def groups(self, names) -> dict:
        """What the picture above the fold has a line for."""
        return _by_family(names)


@SUITES.register("c_bar")
class CBar(CommonCorruptions):
    """The ten corruptions of CIFAR-10-C-bar, or of ImageNet-C-bar."""

    name = "c_bar"
    options = (*_REPORTED, "severities", "seed", "table", "c_bar_dir")
    options += ("released_preprocess",)
    label = "C-bar"
    columns = (Column("mean_accuracy"),)
    titles = ("Other corruptions of C-bar", "Corruptions of C-bar")
    headlines = (("C-bar accuracy", "mean_accuracy"),)

    def chosen(self, job, table) -> tuple[str, ...]:
        found = corruptions.names(self.name, table)
        if not found:
            raise UsageError(
                f"There is no C-bar for table={table}: leave it out, or take "
                "cifar or imagenet."
            )
        return found

    def benchmark(self, cells) -> tuple[str, ...]:
        measured = {cell.corruption for cell in cells}
        of = (corruptions.names(self.name, t) for t in ("cifar", "imagenet"))
        return max(of, key=lambda names: len(measured & {*names}))

    def groups(self, names) -> dict:
        return {self.label: names}


def failure_point(clean, row, share) -> float | None:
    """The severity at which accuracy falls below a share of the clean one.

    Of scores by severity, in rising order, and straight lines between them from
    the clean images at 0; None if it never falls so far.

    >>> import types
    >>> row = {s: types.SimpleNamespace(accuracy=1 - s / 10) for s in (2, 4)}
    >>> failure_point(1.0, row, 0.7)
    3.0
    """
    last, before, wanted = 0.0, value(clean), share * value(clean)
    for severity, scores in row.items():
        now = value(scores.accuracy)
        if now < wanted:
            way = (before - wanted) / (before - now)
            return round(last + way * (severity - last), 9)
        last, before = severity, now
    return None


def _failures(fails, share, most):
    """Figures of failure points by corruption, None up to the `most` severe."""
    if fails:
        mean = average(most if own is None else own for own in fails.values())
        never = sum(own is None for own in fails.values())
        words = f"mean severity with less than {share:.0%} of clean accuracy"
        words += f" ({never} of {len(fails)} not up to {most:g}, as {most:g})"
        yield Figure("mean_failure_point", words, mean, "number")


def _overview(accuracy, groups):
    return {
        group: {
            f"severity {s}": average(own[c] for c in names)
            for s, own in accuracy.items()
        }
        for group, names in groups.items()
        if names
    }


def _released(job, suite, places):
    files, about = job.opened(suite)
    of, data, tasks = job.settings, job.dataset, []
    last = functools.lru_cache(1)(files.split)
    own = data.name, data.num_classes, str(files.preprocess), of.examples
    for place in places:
        split = Reopened(functools.partial(last, *place))
        images = Images(split, *own, data.class_names)
        cell = job.cell(suite, *place, images=images, **about)
        tasks.append(Task(cell, images))
    usual = statistics.mode(task.cell.n for task in tasks)
    for cell in (task.cell for task in tasks if task.cell.n != usual):
        raise UsageError(
            f"{files.root} has {cell.n:,} images of {cell.corruption} at "
            f"severity {cell.severity}, but {usual:,} of others, and means are "
            "over the same images: unpack it again."
        )
    return tasks


def _by_family(names):
    of = {c: CORRUPTIONS.get(c).family for c in names}
    return {f: [c for c in names if of[c] == f] for f in FAMILIES}


def _figures(means, ce, relative, name):
    """Means; of what a reference divides, if all the common ones are there."""
    mean, families = average(means.values()), _by_family(means)
    yield Figure("mean_accuracy", "mean corruption accuracy", mean)
    label = f"{_MCE} (unnormalised)"
    yield Figure("mean_error", label, 1.0 - mean)
    quiet = [c for c in means if c not in families["noise"]]
    parts = [("without_noise", " without noise", quiet)]
    parts += [(family, f", {family}", own) for family, own in families.items()]
    for part, words, own in parts:
        if own:
            label = f"mean accuracy{words} ({len(own)} of {len(means)})"
            mean = average(means[c] for c in own)
            yield Figure(f"mean_accuracy_{part}", label, mean)
    for key, label, own in (
        ("mce", f"{_MCE} (mCE, {name} = 100)", ce),
        ("relative_mce", f"relative mCE ({name} = 100)", relative),
    ):
        if own.keys() >= set(_COMMON):
            yield Figure(key, label, average(own.values()), "ratio")
