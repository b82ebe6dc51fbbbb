"""The shape of the package: who may import whom, and what imports cost."""

import ast
import pathlib
import subprocess
import sys

import pytest

import noisymix_tf
from noisymix_tf import private

PACKAGE = pathlib.Path(noisymix_tf.__file__).parent
# From the ground up: each may import those before it.
RANKS = (
    "__version__ errors lazy pictures private log_filter progress checks "
    "registry rng philox workers places files flagfiles options "
    "command_line provenance marked adjustable distribution devices "
    "probabilities augment corruptions mixing attacks interactions layers "
    "models data model_card training evaluation sets config run_folder "
    "callbacks serving fitting comparison studies benchmarks train commands "
    "__main__"
).split()
UNSEEDED = "uniform normal gamma shuffle stateless_gamma".split()
FILES = sorted({*PACKAGE.rglob("*.py")} - {PACKAGE / "__init__.py"})


def _room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


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
        if RANKS.index(room) > RANKS.index(_room(path))
    ]


def test_what_is_private_in_others_stands_in_one_file_and_is_there():
    """A new Keras or TensorFlow that has moved it is told by name."""
    assert all(getattr(private, name) is not None for name in private.__all__)
    assert not [
        f"{path.relative_to(PACKAGE)} uses {word}"
        for path in FILES
        for word in ("import keras.src", "from keras.src", "tensorflow.python")
        if word in path.read_text() and path.stem != "private"
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
    code += "assert 'tensorflow' not in sys.modules, 'imported TensorFlow'"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(getattr(noisymix_tf, n) is not None for n in noisymix_tf.__all__)
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = noisymix_tf.nothing_like_it
