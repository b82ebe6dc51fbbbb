"""A made-up report with pictures, and what is on its page of HTML."""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from noisymix_tf import corruptions
from noisymix_tf.corruptions import SEVERITIES
from noisymix_tf.evaluation.gallery import Gallery
from support.evaluation_toys import cell, flip_scores, scores, suite_c

NAMES = ("cat", '<b>dog</b> & "co"\'', "a very long name without end" * 3)
COMMON = corruptions.names("common")


def invented():
    """Scores of every suite: 15 corruptions, some released."""
    rows = {
        name: [0.9 - 0.03 * place - 0.05 * s for s in SEVERITIES]
        for place, name in enumerate(COMMON)
    }
    made = {cell("clean", source="original"): scores(0.925)} | suite_c(rows)
    made |= suite_c({"fog": [0.25] * 5}, source="released")
    for setting, accuracy in (("linf eps=4/255", 0.2), ("linf <1>", 0.1)):
        made[cell("fgsm", setting=setting)] = scores(accuracy)
    return made | {cell("p", "tilt", 1): flip_scores(0.04)}


def fill(folder, cells):
    random = np.random.default_rng(0)
    gallery = Gallery(folder)
    images = random.integers(0, 256, [6, 31, 8, 8, 3], np.uint8)
    for c in cells:
        outputs = np.eye(3)[random.integers(0, 3, [6, 31])]
        still = () if c.suite == "p" else (slice(None), 0)
        gallery.see(c, images[still], outputs[still], [1, 2, 0] * 2, NAMES)


class Page:
    def __init__(self, text):
        _, _, text = text.partition("\n")  # The type of the document.
        text = re.sub(r"<((?:meta|img) [^>]*)>", r"<\1/>", text)
        self.elements = []
        self._add(ElementTree.fromstring(text), [], None)

    def _add(self, node, within, section):
        text = " ".join("".join(node.itertext()).split())
        found = {"tag": node.tag, "text": text}
        found |= {"in": within, "section": section, "node": node, **node.attrib}
        self.elements.append(found)
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
        (table,) = self.all("table", of, section)
        rows = table["node"].iter("tr")
        return [["".join(cell.itertext()) for cell in row] for row in rows]


def decoded(source):
    content = base64.b64decode(source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)))
