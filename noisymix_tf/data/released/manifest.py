"""What `noisymix_tf.corruption_sets` notes about the sets that it wrote."""

import dataclasses
import json

from noisymix_tf.errors import UsageError

_NAME = "manifest.json"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """Settings and finished files of a directory that this package wrote.

    Attributes:
        settings: What decided the pixels.
        files: Entry for every finished file, or `<name>/<severity>` of a tree.
    """

    settings: dict
    files: dict

    @property
    def origin(self):
        """Where the pixels come from, in words."""
        of = self.settings
        return (
            f"generated from {of['dataset']}, seed {of['seed']}, generator "
            f"{of['generator']}-{of['table']}"
        )


def read_manifest(root, suite):
    """The `Manifest` of a directory; None where another program wrote it.

    Args:
        root: `Path` of the directory.
        suite: `"c"` or `"p"`, which it is meant for.

    Raises:
        UsageError: If it is damaged, a part, or of the other suite.
    """
    path = root / _NAME
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path} is damaged: write the sets again, or remove it if the "
            "directory is a released one."
        ) from error
    keys = {"dataset", "seed", "generator", "table", "suite"}
    try:
        manifest = Manifest(content["settings"], content["files"])
        ours = keys <= set(manifest.settings)
    except (KeyError, TypeError):
        ours = False
    if not ours:
        return None
    if "shard" in manifest.settings:
        raise UsageError(
            f"{root} holds part {manifest.settings['shard']} of sets: join all "
            f"parts with python -m noisymix_tf.merge."
        )
    if manifest.settings["suite"] != suite:
        other = manifest.settings["suite"]
        raise UsageError(
            f"{root} holds sets of suite {other}, not of {suite}: give the "
            f"directory to suite {other}."
        )
    return manifest
