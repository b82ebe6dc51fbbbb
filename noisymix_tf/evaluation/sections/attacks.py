"""The sections of adversarial images."""

from noisymix_tf.evaluation.sections.core import (
    SECTIONS,
    Figure,
    Section,
    Table,
    image_metrics,
    only,
    origin,
    tallies,
)


@SECTIONS.register("fgsm")
def fgsm(records, context):
    """One step along the sign of the gradient."""
    notes = (
        "the radius of the paper's FGSM column is not published; 4/255 is an "
        "assumption.",
    )
    return [_section("fgsm", "FGSM", records, notes)]


@SECTIONS.register("pgd")
def pgd(records, context):
    """Projected gradient descent."""
    return [_section("pgd", "PGD", records, ())]


@SECTIONS.register("autoattack")
def autoattack(records, context):
    """AutoAttack."""
    return [_section("autoattack", "AutoAttack", records, ())]


def _section(name, title, records, notes):
    for field in ("n", "data", "seed", "generator"):
        only(field, records)
    found = {cell.setting: tally for cell, tally in tallies(records).items()}
    cell = next(iter(records))
    notes += (
        "the attack sees the whole model, normalisation included; radii are "
        "fractions of the range of pixels.",
    )
    if any("cross_entropy" in setting for setting in found):
        notes += (
            "cross_entropy is climbed in float32, as published numbers are: "
            "where a model is very sure its gradient vanishes, and the attack "
            "is weaker than log_odds, which has no such rounding.",
        )
    return Section(
        name=name,
        title=title,
        n=cell.n,
        source=cell.source,
        origin=origin(
            records, f"attacked in pixel space, seed {cell.seed}", per_cell=True
        ),
        figures=tuple(
            Figure(f"accuracy[{setting}]", f"accuracy, {setting}", t.accuracy)
            for setting, t in found.items()
        ),
        table=Table(
            corner="attack",
            columns=("accuracy", "NLL", "ECE"),
            rows={s: (t.accuracy, t.nll, t.ece) for s, t in found.items()},
            groups={"": list(found)},
            kinds=("percent", "number", "percent"),
        ),
        cells={setting: image_metrics(t) for setting, t in found.items()},
        notes=notes,
    )
