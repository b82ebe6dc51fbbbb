"""A made-up report with pictures, and what is on its page of HTML."""

import base64
import dataclasses
import io
import types
from html.parser import HTMLParser

import numpy as np
from PIL import Image

from noisymix_tf import corruptions
from noisymix_tf.evaluation.gallery import Gallery
from noisymix_tf.evaluation.reference import Reference
from support.evaluation_toys import cell, clean_cell, flip_sums, sums

N = 200
NAMES = ("cat", '<b>dog</b> & "co"\'', "a very long name without end" * 3)
NOISE = ("gaussian_noise", "shot_noise", "speckle_noise")


def invented():
    """Cells of every suite: 15 corruptions, some extra, some released."""
    rows = {clean_cell(): sums(0.925)}
    for place, name in enumerate(corruptions.names("common")):
        for severity in range(1, 6):
            accuracy = 0.9 - 0.03 * place - 0.05 * severity
            rows[cell("c", name, severity)] = sums(accuracy)
    for severity in range(1, 6):
        rows[cell("c", "saturate", severity)] = sums(0.5)
        released = cell("c", "fog", severity, source="released")
        rows[released] = sums(1.0 if severity == 1 else 0.25)
    for name in corruptions.perturbation_names("cifar"):
        flips = flip_sums(0.04, noise=name in NOISE)
        # Half of the sequences above, half below.
        spread = 0.01**2 * N
        flips["square_sums"]["flip_probability"] += spread
        rows[cell("p", name, 1)] = flips
    for setting, accuracy in (("linf eps=4/255", 0.2), ("linf <1>", 0.1)):
        rows[cell("fgsm", None, 0, setting=setting)] = sums(accuracy)
    rows[cell("r", None, 0, source="released", setting="shifted 3 classes")] = (
        sums(0.4)
    )
    rows[cell("r", None, 0, source="original", setting="clean 3 classes")] = (
        sums(0.9)
    )
    for values in rows.values():
        values |= {"outputs": "logits", "available": 10_000, "seconds": 2.0}
        values |= {"forward_seconds": 1.0, "generation_seconds": 0.5}
    return {
        dataclasses.replace(c, dataset='toy "<&>"'): values
        for c, values in rows.items()
    }


REFERENCE = Reference(
    "runs/<base>/report.json",
    0.1,
    {"c": {name: [0.5] * 5 for name in corruptions.names("common")}},
    {"p": dict.fromkeys(corruptions.perturbation_names("cifar"), 0.08)},
)


def fill(folder, cells, seed=0):
    """A gallery with pictures of noise."""
    random = np.random.default_rng(seed)
    gallery = Gallery(folder, types.SimpleNamespace(class_names=NAMES))
    films = random.integers(0, 256, [1, 31, 8, 8, 3], np.uint8)
    images = random.integers(0, 256, [6, 32, 32, 3], np.uint8)
    for c in cells:
        places = np.round(np.linspace(0, c.n - 1, 6)).astype(int)
        if c.suite == "p":
            outputs = np.eye(3)[random.integers(0, 3, [1, 31])]
            gallery.see(c, films, outputs, [1], [c.n // 2])
        else:
            outputs = np.eye(3)[random.integers(0, 3, 6)]
            gallery.see(c, images, outputs, np.arange(6) % 3, places)
        gallery.keep(c)


class Page(HTMLParser):
    """Elements with their attributes and whole texts; checks the balance."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        within = [e["tag"] for e in self.open]
        found = {
            "tag": tag,
            "text": "",
            "in": within,
            "section": next(
                (e["id"] for e in self.open if e["tag"] == "section"), None
            ),
            **dict(attributes),
        }
        assert len(dict(attributes)) == len(attributes)
        self.elements.append(found)
        if tag not in self.VOID:
            self.open.append(found)

    def handle_endtag(self, tag):
        assert self.open.pop()["tag"] == tag

    def handle_data(self, data):
        for found in self.open:
            found["text"] += data

    def all(self, tag, of=None, section=None):
        return [
            e
            for e in self.elements
            if e["tag"] == tag
            and (of is None or of in e.get("class", "").split())
            and (section is None or e["section"] == section)
        ]

    def rows(self, section, of):
        """Texts of the rows of one table of a section."""
        tables = self.all("table", of, section)
        assert len(tables) == 1
        rows, inside = [], False
        for e in self.elements:
            if e["tag"] == "table":
                inside = e is tables[0]
            elif inside and e["tag"] == "tr":
                rows.append([])
            elif inside and e["tag"] in ("th", "td"):
                rows[-1].append(e["text"])
        return rows


def decoded(source):
    content = base64.b64decode(source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


def luminance(colour):
    """Relative luminance of WCAG 2 of `"#rgb"`, `"#rrggbb"` or a name."""
    digits = {"white": "fff", "black": "000"}.get(colour, colour.lstrip("#"))
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in parts
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(one, other):
    """Contrast ratio of WCAG 2, from 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)
