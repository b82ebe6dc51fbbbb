"""Directories of runs and evaluations whose results are written by hand."""

import dataclasses
import json

from noisymix_tf import command_line, config, corruptions, flagfiles
from noisymix_tf.comparison import runs, table
from noisymix_tf.comparison.trainings import AllFlags, CompareConfig
from noisymix_tf.evaluation.records import Records
from noisymix_tf.evaluation.report import Report, scores_of
from support.evaluation_toys import cell, clean_cell, flip_scores, scores

COMMON = corruptions.names("common")
FGSM = "linf eps=4/255 cross_entropy"
NOISES = ("gaussian_noise", "shot_noise", "impulse_noise")


def flags(method="baseline", seed=0, **more):
    stability = "jsd" if method in ("augmix", "noisymix") else "none"
    usual = {"model": "resnet20", "width": 0.5, "epochs": 3, "batch_size": 64}
    own = {"method": method, "stability": stability, "seed": seed}
    return config.Config(**{**usual, **own, **more})


def accuracies(base):
    rows = {name: base - 0.1 * (name in NOISES) for name in COMMON}
    return {name: dict.fromkeys(range(1, 6), a) for name, a in rows.items()}


def _measured(clean=0.9, c=(), p=(), fgsm=(), n=200, about=(), **fields):
    """`{cell: scores}`; `p` has flips, `fields` say where `c` comes from."""
    about = {"n": n, **dict(about)}
    own = {clean_cell(**about): scores(clean, n)}
    for name, row in dict(c).items():
        for severity, accuracy in row.items():
            place = cell("c", name, severity, **{**about, **fields})
            own[place] = scores(accuracy, n)
    for name, flips in dict(p).items():
        own[cell("p", name, 1, **about)] = flip_scores(flips, n=n)
    for setting, accuracy in dict(fgsm).items():
        place = cell("fgsm", setting=setting, **about)
        own[place] = scores(accuracy, n)
    return own


def evaluation(folder, reference=None, records=True, model=None, **measured):
    folder.mkdir(parents=True)
    with Records(folder if records else None) as kept:
        own = _measured(**measured)
        kept.add([(place, 0, each.rows, {}) for place, each in own.items()])
        cells = [dataclasses.asdict(place) for place in own]
        kept.set_fact("plan", {"cells": cells})
        about = {"model": model} if model else {}
        report = Report(scores_of(kept, own), reference, about)
    (folder / "report.json").write_text(json.dumps(report.as_dict()))
    return folder


def write(folder, config=None, **measured):
    evaluation(folder / "evaluation", **measured)
    lines = filter(None, (config or flags()).flags().values())
    (folder / "flags.txt").write_text("\n".join(lines) + "\n")
    return folder


def build(folder, *more, **options):
    found = [runs.read(path) for path in runs.find(folder)]
    return table.build(found, *more, **options)


def parsed(*line):
    words = flagfiles.expand([*map(str, line)])
    config = command_line.parse_words(words, CompareConfig, AllFlags, "runs")
    return words, config
