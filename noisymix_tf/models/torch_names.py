"""What PyTorch code calls the modules that the layers of a network stand for.

A family states its names as data; `torch_weights.py` reads them.
"""

import dataclasses
import re
from collections.abc import Mapping

_IN_BLOCK = re.compile(r"stage(\d+)_block(\d+)_(\w+)")


@dataclasses.dataclass(frozen=True)
class TorchNames:
    """The names of one code base.

    Attributes:
        outside: Layer outside the stages -> PyTorch's module.
        block: Format of the name of a block, of its `stage` from 1 and its
            `index` from 0.
        inside: Part of a block -> PyTorch's module, where the names differ.

    Example:

    >>> names = TorchNames({"stem": "conv1"}, inside={"shortcut": "skip"})
    >>> names.of("stem"), names.of("stage2_block1_shortcut")
    ('conv1', 'layer2.0.skip')
    """

    outside: Mapping[str, str]
    block: str = "layer{stage}.{index}"
    inside: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def of(self, layer):
        """Returns the module of a layer's name, `None` where there is none."""
        match = _IN_BLOCK.fullmatch(layer)
        if match is None:
            return self.outside.get(layer)
        stage, block, part = match.groups()
        prefix = self.block.format(stage=stage, index=int(block) - 1)
        return f"{prefix}.{self.inside.get(part, part)}"
