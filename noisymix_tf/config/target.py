"""Flags of an evaluation by itself: which model, and where it writes."""

import dataclasses

from noisymix_tf.config.fields import Group, field


@dataclasses.dataclass(frozen=True)
class TargetConfig(Group):
    """The model, and where the report goes."""

    model: str | None = field(
        None,
        "The classifier: a .keras file, the directory of a run, or a "
        "SavedModel, on this machine or in a bucket (gs://...). It takes "
        "pixels 0..255.",
        kind=str,
        address=True,
    )
    output_dir: str | None = field(
        None,
        "Directory of records and report. An interrupted evaluation is "
        "continued by the same command.",
        kind=str,
    )
    strategy: str = field(
        "auto",
        "Devices: single, mirrored (all accelerators of this machine share "
        "every batch), or auto (mirrored where there are several).",
        choices=("auto", "single", "mirrored"),
    )
    robustbench_json: str | None = field(
        None,
        "Also write NAME.json, an entry of RobustBench's corruption "
        "leaderboard, and NAME.csv, its row of cells.",
        kind=str,
    )
    dry_run: bool = field(
        False,
        "Only print what would be measured, and about how long it would take.",
    )
    shard: str = field(
        "1/1",
        "Measure part i/n only, into an output_dir of its own; python -m "
        "noisymix_tf.merge joins all parts.",
    )
