"""The pages of the project, and the code that they show."""

import re

from support import ROOT

FILES = ("README.md", "flags/README.md", ".github/CONTRIBUTING.md")
FILES = (*map(ROOT.joinpath, FILES), *ROOT.glob("noisymix_tf/*/README.md"))
PAGES = {path: path.read_text("utf-8") for path in FILES}


def example(marker, **small):
    """The one block of Python that holds the marker, made smaller."""
    (code,) = (block for block in blocks("python") if marker in block)
    for shown, new in small.items():
        assert shown in code
        code = code.replace(shown, new)
    return code


def blocks(language):
    pages = "\n".join(PAGES.values())
    return re.findall(rf"```{language}\n(.*?)```", pages, re.DOTALL)
