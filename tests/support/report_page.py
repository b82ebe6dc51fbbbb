"""A made-up report with pictures, and what is on its page of HTML."""

import base64
import dataclasses
import io
import re
import types
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from noisymix_tf import corruptions
from noisymix_tf.evaluation.gallery import Gallery
from noisymix_tf.evaluation.reference import Reference
from support.evaluation_toys import cell, clean_cell, flip_sums, suite_c, sums

N = 200
NAMES = ("cat", '<b>dog</b> & "co"\'', "a very long name without end" * 3)
COMMON = corruptions.names("common")
CIFAR = corruptions.perturbation_names("cifar")
NOISE = corruptions.perturbation_names("noise")
ERRORS, FLIPS = dict.fromkeys(COMMON, [0.5] * 5), dict.fromkeys(CIFAR, 0.08)
NAME = "runs/<base>/report.json"
REFERENCE = Reference(NAME, 0.1, {"c": ERRORS}, {"p": FLIPS})


def invented():
    """Cells of every suite: 15 corruptions, some extra, some released."""
    own = {"saturate": [0.5] * 5}
    for place, name in enumerate(COMMON):
        own[name] = [0.9 - 0.03 * place - 0.05 * s for s in range(1, 6)]
    rows = {clean_cell(): sums(0.925)} | suite_c(own)
    rows |= suite_c({"fog": [1.0] + [0.25] * 4}, source="released")
    for name in CIFAR:
        flips = flip_sums(0.04, noise=name in NOISE)
        # Half of the sequences above, half below.
        flips["square_sums"]["flip_probability"] += 0.01**2 * N
        rows[cell("p", name, 1)] = flips
    for suite, setting, source, accuracy in (
        ("fgsm", "linf eps=4/255", "generated", 0.2),
        ("fgsm", "linf <1>", "generated", 0.1),
        ("r", "shifted 3 classes", "released", 0.4),
        ("r", "clean 3 classes", "original", 0.9),
    ):
        place = cell(suite, None, 0, setting=setting, source=source)
        rows[place] = sums(accuracy)
    more = {"outputs": "logits", "available": 10_000, "seconds": 2.0}
    more |= {"forward_seconds": 1.0, "generation_seconds": 0.5}
    named = [dataclasses.replace(c, dataset='toy "<&>"') for c in rows]
    return {c: row | more for c, row in zip(named, rows.values())}


def fill(folder, cells):
    random = np.random.default_rng(0)
    gallery = Gallery(folder, types.SimpleNamespace(class_names=NAMES))
    films = random.integers(0, 256, [1, 31, 8, 8, 3], np.uint8)
    images = random.integers(0, 256, [6, 32, 32, 3], np.uint8)
    for c in cells:
        outputs = np.eye(3)[random.integers(0, 3, [1, 31])]
        places = np.round(np.linspace(0, c.n - 1, 6)).astype(int)
        still = images, outputs[0, :6], np.arange(6) % 3, places
        film = films, outputs, [1], [c.n // 2]
        gallery.see(c, *(film if c.suite == "p" else still))
        gallery.keep(c)


class Page:
    """Elements with their attributes and whole texts; the tags must match."""

    def __init__(self, text):
        _, _, text = text.partition("\n")  # The type of the document.
        text = re.sub(r"<((?:meta|img) [^>]*)>", r"<\1/>", text)
        self.elements, self.nodes = [], []
        self._add(ElementTree.fromstring(text), [], None)

    def _add(self, node, within, section):
        found = {"tag": node.tag, "text": "".join(node.itertext())}
        found |= {"in": within, "section": section, **node.attrib}
        self.elements.append(found)
        self.nodes.append(node)
        if node.tag == "section":
            section = node.get("id")
        for child in node:
            self._add(child, [*within, node.tag], section)

    def all(self, tag, of=None, section=None):
        found = [e for e in self.elements if e["tag"] == tag]
        found = [e for e in found if section in (None, e["section"])]
        return [e for e in found if of in (None, *e.get("class", "").split())]

    def texts(self, *where):
        return [e["text"] for e in self.all(*where)]

    def rows(self, section, of):
        """Texts of the rows of one table of a section."""
        (table,) = self.all("table", of, section)
        node = self.nodes[self.elements.index(table)]
        return [["".join(c.itertext()) for c in r] for r in node.iter("tr")]


def decoded(source):
    content = base64.b64decode(source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)))
