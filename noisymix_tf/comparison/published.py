"""Published numbers, for the side of a user's own.

`published.csv` has Table 1 of Erichson et al. (2022), arXiv:2202.01263, and the
corruption leaderboards of RobustBench (github.com/RobustBench/robustbench), in
per cent, each under the figure of a report that measures the same. All are of
the released files, flips and mCE in per cent of AlexNet's. RobustBench measures
ImageNet on 5,000 images; its means without noise are of its table of single
corruptions. The radius of the paper's FGSM is not published but assumed, 4/255.
"""

import csv
import pathlib

from noisymix_tf.comparison.differences import Cell, Measure
from noisymix_tf.comparison.rows import Row
from noisymix_tf.evaluation.reference import alexnet


def rows_of(datasets, columns):
    """Published `Row`s that have a number for one of the columns of runs.

    Numbers of released files stand in no column of generated images, nor in
    one of what is divided by others than AlexNet.
    """
    path = pathlib.Path(__file__).with_suffix(".csv")
    with path.open(encoding="utf-8", newline="") as file:
        found = [r for r in csv.DictReader(file) if {r["dataset"]} == datasets]
    keys = [c.key for c in columns if c.place[3] in ("", alexnet().name)]
    rows = []
    for row in found:
        known = {key: float(row[key]) for key in keys if row.get(key)}
        cells = {key: Cell([Measure(value)]) for key, value in known.items()}
        source = row["source"].rpartition(", ")[2]
        title = f"{row['name']} ({row['network']}, {source})"
        if cells:
            rows.append(Row(title, row["method"], (), (), row["source"], cells))
    return rows
