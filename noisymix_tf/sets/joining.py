"""Parts that shards wrote become the sets that one run writes."""

import pathlib
import shutil

from noisymix_tf import checks
from noisymix_tf.errors import UsageError
from noisymix_tf.sets import arrays, trees, writer


def merge(folders, output_dir):
    """Joins all parts of one plan, byte for byte what one run writes.

    A `UsageError` says that one is no part of it, missing, there twice, not
    finished or damaged, or that the directory cannot be written.
    """
    parts = _all_parts(folders)
    path, first = parts[0]
    settings = first["settings"]
    del settings["shard"], settings["sets"]
    pairs = [(path, manifest["files"]) for path, manifest in parts]
    with writer.claimed_folder(output_dir, settings) as whole:
        if settings["layout"] == "tree":
            trees.join(whole, pairs)
        else:
            arrays.join(whole, pairs, len(settings.get("severities", [0])))
        # Sheets are drawn before the files that are known to be there.
        sheets = whole.path / "sheets"
        shutil.copytree(path / "sheets", sheets, dirs_exist_ok=True)


def _all_parts(folders):
    """Pairs of path and manifest of all parts of one plan, in their order."""
    parts, first = {}, None
    for path in map(pathlib.Path, folders):
        if not (path / writer.MANIFEST).is_file():
            raise UsageError(
                f"{path} holds no part of sets: it has no {writer.MANIFEST}."
            )
        manifest = writer.read_manifest(path)
        settings = manifest["settings"]
        if "shard" not in settings:
            raise UsageError(f"{path} is no part: its sets are whole.")
        place, count = checks.shard(settings["shard"])
        settings |= {"shard": count, "sets": sorted(manifest["wanted"])}
        first = first or (path, manifest)
        odd = writer.differences(manifest, first[1])
        if odd:
            raise UsageError(f"{path} has another plan than {first[0]}: {odd}.")
        if place in parts:
            both = f"{parts[place][0]} and {path} are both {place + 1}/{count}"
            raise UsageError(f"{both}: give each part once.")
        for name in manifest["wanted"]:
            if name not in manifest["files"]:
                raise UsageError(
                    f"{path} is not finished, it lacks {name}: its command "
                    f"goes on where it stopped."
                )
        parts[place] = path, manifest
    missing = [f"{k + 1}/{count}" for k in range(count) if k not in parts]
    if missing:
        raise UsageError(f"Parts {', '.join(missing)} are missing: give all.")
    return [parts[place] for place in range(count)]
