"""The shape of the package: who may import whom, and what imports cost."""

import ast
import pathlib
import subprocess
import sys

import pytest

import noisymix_tf

PACKAGE = pathlib.Path(noisymix_tf.__file__).parent
# Each layer may import itself and those before it.
LAYERS = (
    ("version", "errors", "registry", "rng", "philox", "distribution")
    + ("run_lock", "files", "workers"),
    ("adjustable", "checks", "devices", "functional", "log_filter"),
    ("places", "probabilities", "progress", "contact_sheet", "replicas"),
    ("attacks", "augment", "mixing", "corruptions"),
    ("layers", "models", "data"),
    ("training", "step_memory"),
    ("evaluation", "callbacks", "corruption_sets", "provenance")
    + ("model_card", "serving", "theory", "config", "flagfiles")
    + ("command_line",),
    ("run_folder", "doors", "benchmarks", "toys", "image_trees")
    + ("interactions", "fitting"),
    ("stylizing", "deep_augment"),
    ("comparison",),
    ("train", "evaluate", "export", "compare", "benchmark", "data_service")
    + ("toy", "stylize", "deepaugment", "merge", "beam", "__main__"),
)
# A door in a room that belongs to a lower layer.
DOORS = {f"{room}/__main__.py": "train" for room in ("corruptions", "theory")}
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
UNSEEDED = "uniform normal gamma shuffle stateless_gamma".split()
FILES = sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py"})


def _room(path):
    path = path.relative_to(PACKAGE)
    return DOORS.get(path.as_posix(), path.parts[0].removesuffix(".py"))


def _imports(path):
    """Rooms of the package that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = getattr(node, "module", "")
            for alias in node.names:
                name = f"{module}.{alias.name}".lstrip(".")
                package, *rooms = name.split(".")
                if package == "noisymix_tf":
                    yield from rooms[:1]


def test_imports_go_one_way():
    assert not [
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in FILES
        for room in _imports(path)
        if RANK[room] > RANK[_room(path)]
    ]


def test_no_global_or_uncompilable_randomness():
    """All draws come from explicit seeds (see rng.py)."""
    assert not [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {ast.unparse(node)}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if _draws_without_seed(node)
    ]


def _draws_without_seed(node):
    if isinstance(node, ast.Import):
        return "random" in {alias.name for alias in node.names}
    if not isinstance(node, ast.Call):
        return False
    called = ast.unparse(node.func)
    place, _, name = called.partition(".random.")
    if place in ("np", "numpy"):
        return name[:1].islower() and called != "np.random.default_rng"
    return place == "keras" or (place == "tf" and name in UNSEEDED)


def test_importing_the_package_is_cheap_and_names_are_there():
    code = "import sys, noisymix_tf as nm;"
    code += "assert 'tensorflow' not in sys.modules, 'imported TensorFlow';"
    code += "assert all(getattr(nm, n) is not None for n in nm.__all__)"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = noisymix_tf.nothing_like_it
