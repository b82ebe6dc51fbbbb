"""What tests of several rooms share; `ROOT` is that of the repository."""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
