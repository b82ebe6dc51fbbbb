"""The -P benchmarks: how steady answers are along a sequence of frames.

A flip rate divides a model's flip probability by a reference's, and mFR is the
mean rate (Hendrycks and Dietterich, 2019, section 4.3); with top-5 distances it
is mT5D. The benchmark's reference is AlexNet, but its values depend on the very
frames: measure them, or those of another model, on the same sequences.
"""

import functools

import numpy as np

from noisymix_tf import corruptions
from noisymix_tf.corruptions import PERTURBATIONS
from noisymix_tf.evaluation import metrics
from noisymix_tf.evaluation.images import Images
from noisymix_tf.evaluation.metrics import FlipScores, average, check_frames
from noisymix_tf.evaluation.reference import ratios
from noisymix_tf.evaluation.sections import Figure, Table, distinct, only
from noisymix_tf.evaluation.suites import core
from noisymix_tf.evaluation.suites.core import SUITES, Column, Task

_MADE = (
    "frames are made of the images as the model takes them, so that black "
    "comes into view where the content moves, and nothing is compressed: not "
    "comparable with the films of ImageNet-P."
)
_NO_RATES = (
    "flip rates (mFR, mT5D) need a reference measured on the same sequences: "
    "give one by reference."
)


@SUITES.register("p")
class Perturbations(core.Benchmark):
    """Sequences, generated on the fly or read from released files."""

    options = ("perturbations", "difficulty", "seed", "table", "p_dir")
    options += ("p_examples", "released_preprocess")
    scores = FlipScores
    columns = tuple(
        Column(
            f"mf{letter}{part}",
            f"{{label}}{words}, mF{letter.upper()}",
            higher_is_better=False,
            digits=2,
            measure=f"mean flip {of}",
        )
        for part, words in (("", ""), ("_without_noise", " without noise"))
        for letter, of in (("p", "probability"), ("r", "rate"))
    )
    word, titles = "perturbation", ("Further perturbations", "Perturbations")
    unit, quantity, bars = "sequences", *2 * ("flip probability",)
    headlines = (
        ("Mean flip probability (mFP)", "mfp"),
        ("Mean flip rate (mFR)", "mfr"),
    )

    def tasks(self, job) -> list[Task]:
        of, images = job.settings, job.images
        table = corruptions.table_for(images.shape, of.table)
        names = of.perturbations or corruptions.perturbation_names(table)
        if of.p_dir is not None:
            return _released(job, names)
        for name in names:
            PERTURBATIONS.get(name).constants(table)  # Not all have them.
        if of.p_examples is not None and of.p_examples < images.n:
            images = Images.of(job.dataset, of.p_examples)
        own = {"seed": of.seed, "table": table, "difficulty": of.difficulty}
        make = functools.partial(corruptions.perturb, **own)
        fields = {"generator": f"{corruptions.version()}-{table}"}
        return [
            Task(
                job.cell("p", name, of.difficulty, n=images.n, **fields),
                images,
                functools.partial(make, name=name),
                frames=PERTURBATIONS.get(name).frames[table],
            )
            for name in names
        ]

    def rows(self, cell, outputs, labels) -> np.ndarray:
        return FlipScores.of(outputs, **_pairs(cell.corruption, cell.severity))

    def benchmark(self, cells) -> tuple[str, ...]:
        """The set that is whole; of two, or of none, the generator's own.

        Of released files the one that they have more of.
        """
        measured = {cell.corruption for cell in cells}
        tables = [c.generator.rpartition("-")[2] for c in cells if c.generator]
        order = distinct((*tables, "cifar", "imagenet"))

        def fit(names):
            number = 0 if tables else len(measured & set(names))
            return measured >= set(names), number

        return max(map(corruptions.perturbation_names, order), key=fit)

    def parts(self, scores, main, about, reference, context) -> tuple:
        first, name = next(iter(scores)), about["name"]
        difficulty = only("severity", scores)
        flips = {c.corruption: s.flip_probability for c, s in scores.items()}
        far = {c.corruption: s.top5_distance for c, s in scores.items()}
        theirs = reference.of_section("flips", name)
        theirs_far = reference.of_section("top5_distances", name)
        notes, measured = [], reference.difficulties.get(name, difficulty)
        if first.source == "generated" and "cifar" not in first.generator:
            notes.append(_MADE)
        if measured != difficulty:
            theirs = theirs_far = {}
            notes.append(
                f"the reference {reference.name} was measured at difficulty "
                f"{measured}: no flip rates."
            )
        elif main and not theirs:
            notes.append(_NO_RATES)
        rates, top5 = ratios(flips, theirs), ratios(far, theirs_far)
        quiet = [p for p in flips if not _is_noise(p)]
        words, of = f" without noise ({len(quiet)})", f"{reference.name} = 100"
        errors = {p: metrics.error(own) for p, own in flips.items()}
        means = (
            ("mfp", "mean flip probability (mFP)", flips, "percent"),
            ("mean_top5_distance", "mean top-5 distance", far, "number"),
            ("mfr", f"mean flip rate (mFR, {of})", rates, "ratio"),
            ("mt5d", f"mean top-5 rate (mT5D, {of})", top5, "ratio"),
        )
        sets = ("", [*flips], ""), ("_without_noise", quiet, words)
        figures = [
            Figure(key + end, label + more, average(map(own.get, part)), kind)
            for key, label, own, kind in means
            for end, part, more in sets
            if main and part and own.keys() >= set(part)
        ]
        columns = [
            ("flips", "percent", flips),
            ("± s.e.", "percent", errors),
            ("top-5 distance", "number", far),
            ("FR", "ratio", rates),
            ("T5D", "ratio", top5),
        ]
        groups = {
            "noise (against the first frame)": [*filter(_is_noise, flips)],
            "against the frame before": quiet,
        }
        harder = f", difficulty {difficulty}" * (difficulty > 1)
        fields = {
            "origin": about["origin"] + harder,
            "figures": tuple(figures),
            "table": Table.of(self.word, columns, groups, self.quantity),
            "cells": {
                c.corruption: core.json_values(s, FlipScores.METRICS)
                | {"difficulty": difficulty}
                for c, s in scores.items()
            },
            "notes": notes,
        }
        return fields, flips, theirs, rates


def _is_noise(perturbation):
    return PERTURBATIONS.get(perturbation).family == "noise"


def _pairs(perturbation, difficulty):
    return {"noise": _is_noise(perturbation), "difficulty": difficulty}


def _released(job, names):
    files, about = job.opened("p")
    of, tasks = job.settings, []
    examples = filter(None, (of.examples, of.p_examples))
    how = str(files.preprocess), min(examples, default=None)
    for name in names:
        sequences = files.sequences(name, of.difficulty)
        check_frames(sequences.num_frames, **_pairs(name, of.difficulty))
        classes = int(sequences.labels.max()) + 1
        images = Images(sequences, job.dataset.name, classes, *how)
        cell = job.cell("p", name, of.difficulty, images=images, **about)
        tasks.append(Task(cell, images, frames=sequences.num_frames))
    return tasks
