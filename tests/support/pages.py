"""The pages of the project, and the code that they show."""

import re

from support import ROOT

FILES = ("README.md", "flags/README.md", ".github/CONTRIBUTING.md")
ROOMS = sorted(ROOT.glob("noisymix_tf/*/README.md"))
FILES = (*map(ROOT.joinpath, FILES), *ROOMS)
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


def empty(folder):
    """A page with a place for results, and the flag that names it."""
    page = folder / "page.md"
    page.write_text("<!-- a: begin -->\n<!-- a: end -->")
    return page, f"--write_to={page}#a"


def commands():
    """Those of all blocks of shell, in their order, each once."""
    text = re.sub(r" +# .*", "", "\n".join(blocks("bash")))
    lines = text.replace("\\\n", " ").splitlines()
    parts = (part.strip() for line in lines for part in line.split(" && "))
    return list(dict.fromkeys(filter(None, parts)))
