"""The few figures that a report opens with."""

import dataclasses

# Sections, figures, what they are called at the head of a page, and the source
# of their images where it is not that of the section.
_FIGURES = (
    ("clean", "accuracy", "Clean accuracy"),
    ("c", "mean_accuracy", "Corruption accuracy"),
    ("c", "mce", "mCE"),
    ("p", "mfp", "mFP"),
    ("p", "mfr", "mFR"),
    ("r", "accuracy", "ImageNet-R accuracy"),
    ("shift", "accuracy", "Shifted accuracy"),
    ("fgsm", "accuracy", "FGSM accuracy"),
    ("pgd", "accuracy", "PGD accuracy"),
    ("autoattack", "accuracy", "AutoAttack accuracy"),
    ("calibration", "clean_ece", "ECE, clean", "original"),
    ("calibration", "c_mean_ece", "ECE, corrupted", "generated"),
    ("calibration", "c_released_mean_ece", "ECE, corrupted", "released"),
    ("calibration", "c_written_mean_ece", "ECE, corrupted", "generated"),
)


@dataclasses.dataclass(frozen=True)
class Headline:
    """One of them.

    Attributes:
        title: What it is.
        text: The value.
        detail: What to know of it, in a few words.
        source: Source of the images; `""` for several.
    """

    title: str
    text: str
    detail: str
    source: str


def headlines(report):
    """`Headline`s of a `Report`, those of its figures that it has."""
    return [
        headline
        for name, *rest in _FIGURES
        for section in report.sections
        if section.name in (name, f"{name}_released", f"{name}_written")
        for headline in _headlines(section, *rest)
    ]


def _headlines(section, name, title, source=None):
    found = [f for f in section.figures if f.name.partition("[")[0] == name]
    if not found:
        return
    # Of several attacks the one that finds most is what the model stands.
    figure = min(found, key=lambda figure: figure.value)
    unit = "sequences" if section.name.split("_")[0] == "p" else "images"
    detail = f"{section.n:,} {unit}"
    if source != "original" and "per cell" in section.origin:
        detail += " per cell"
    if figure.name != name:
        lowest = f"lowest of {len(found)}: " if len(found) > 1 else ""
        detail += f", {lowest}{_setting(figure)}"
    yield Headline(
        title, figure.text, detail, section.source if source is None else source
    )


def _setting(figure):
    """The first words of an attack's setting: norm, radius and loss."""
    return figure.name.partition("[")[2].removesuffix("]").split(",")[0]
