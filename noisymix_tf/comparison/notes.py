"""What a reader of the table must know, in sentences."""

from noisymix_tf.comparison import rows
from noisymix_tf.comparison.normalisation import ALEXNET

_SECTIONS = {
    "clean": "Clean",
    "c": "C",
    "c_released": "C, released files",
    "c_written": "C, written files",
    "r": "R",
    "shift": "Shifted",
    "p": "P",
    "p_released": "P, released files",
    "p_written": "P, written files",
    "fgsm": "FGSM",
    "pgd": "PGD",
    "autoattack": "AutoAttack",
}
# What those notes of a section begin with that hold for a table, too.
_MEANS = "means are over"


def of_table(runs, groups, columns, published, differences):
    """The notes of a table.

    Args:
        runs, groups: `runs.Run`s, and the same by rows.
        columns: `Column`s that are shown.
        published: Published `table.Row`s that are shown.
        differences: Lines on what the runs differ in, though compared.

    Yields:
        str.
    """
    yield _on_seeds(groups)
    yield from (f"Differs: {line}." for line in differences)
    for line in rows.differing_recipes(groups):
        yield f"Rows differ in {line}."
    yield from _on_measures(runs)
    yield from _on_alexnet(runs, columns)
    for divisor in dict.fromkeys(c.divisor for c in columns if c.divisor):
        titles = [c.title for c in columns if c.divisor == divisor]
        yield (
            f"{_listed(titles)}: in per cent of the errors or flips of "
            f"{divisor}; lower is better."
        )
    flips = [
        c.title for c in columns if not c.higher_is_better and not c.divisor
    ]
    if flips:
        yield (
            f"{_listed(flips)}: flip probability, not divided by that of a "
            f"reference; lower is better."
        )
    if any(c.section == "fgsm" for c in columns):
        yield (
            "FGSM: the radius of the paper is not published; 4/255 is an "
            "assumption."
        )
    sources = dict.fromkeys(row.source for row in published)
    if sources:
        yield (
            f"Published: {'; '.join(sources)}. These are of other trainings "
            f"and mostly other networks than the runs here; C and P are on "
            f"the released files of the benchmarks, and are not compared with "
            f"generated images."
        )


def _on_seeds(groups):
    seeds = {tuple(run.seed for run in group.runs) for group in groups}
    if max(map(len, seeds)) == 1:
        return f"One run a row{_named(seeds)}; best in bold."
    words = "Mean ± standard deviation over the runs of a row"
    return f"{words}{_named(seeds)}; best in bold."


def _named(seeds):
    if len(seeds) > 1:
        return ""
    (own,) = seeds
    word = "seed" if len(own) == 1 else "seeds"
    return f" ({word} {', '.join(map(str, own))})"


def _on_measures(runs):
    for name, title in _SECTIONS.items():
        section = next(
            (r.sections[name] for r in runs if name in r.sections), None
        )
        if section is not None:
            means = [
                note.capitalize()
                for note in section["notes"]
                if note.startswith(_MEANS)
            ]
            yield " ".join([f"{title}: {section['origin']}.", *means])


def _on_alexnet(runs, columns):
    """What the reports say where generated images are divided by AlexNet."""
    titles = [
        column.title
        for column in columns
        if column.divisor == ALEXNET
        and any(
            run.sections.get(column.section, {}).get("source") == "generated"
            for run in runs
        )
    ]
    if titles:
        yield (
            f"{_listed(titles)}: AlexNet's constants are about the released "
            f"files of ImageNet-C, these images were generated: not comparable "
            f"with published mCE."
        )


def _listed(words):
    words = list(words)
    if len(words) == 1:
        return words[0]
    return f"{'; '.join(words[:-1])} and {words[-1]}"
