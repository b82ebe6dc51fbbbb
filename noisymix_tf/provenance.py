"""Which code computes, and on what machine: for cards and for pages."""

import collections
import functools
import os
import pathlib
import platform
import subprocess

from noisymix_tf import __version__
from noisymix_tf.lazy import tf

_ROOT = pathlib.Path(__file__).resolve().parents[1]
# Pages are no code: a command that writes into one changes nothing.
_CODE = ("noisymix_tf", "flags", ":(exclude)*.md")


@functools.cache
def commit() -> str | None:
    """The commit of a checkout as it is when this is first called.

    `"77936f9"`, or `"77936f9 with changes"`; None of an installed package.
    """
    if not (_ROOT / ".git").exists():
        return None
    found = _git("rev-parse", "--short", "HEAD")
    changed = found and _git("status", "--porcelain", "--", *_CODE)
    return f"{found} with changes" if changed else found or None


def code(versions=None) -> str:
    """In words: the commit, or else the version, also of those in a card."""
    own = {"noisymix_tf": __version__, "commit": commit()}
    found = own if versions is None else versions
    name = found.get("commit")
    return f"commit {name}" if name else f"version {found['noisymix_tf']}"


def words() -> str:
    """Code and machine: `"commit 77936f9 on 2 cores (AMD EPYC), no GPU"`."""
    return f"{code()} on {machine()}"


@functools.cache
def machine() -> str:
    """Cores and accelerators: `"2 cores (AMD EPYC), no GPU"`."""
    info = pathlib.Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(": ")[-1] for line in lines if "model name" in line]
    gpus = collections.Counter(
        tf.config.experimental.get_device_details(gpu).get("device_name", "GPU")
        for gpu in tf.config.list_physical_devices("GPU")
    )
    gpus = ", ".join(f"{n} x {name}" for name, n in gpus.items())
    name, cores = names[0] if names else platform.machine(), os.cpu_count()
    return f"{cores} core{'s' * (cores > 1)} ({name}), {gpus or 'no GPU'}"


def _git(*words):
    """What git says; nothing where it is missing or refuses."""
    line = ["git", "--no-optional-locks", "-C", str(_ROOT), *words]
    try:
        return subprocess.run(
            line, capture_output=True, text=True
        ).stdout.strip()
    except OSError:
        return ""
