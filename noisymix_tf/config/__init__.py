"""The configuration of a run.

Every field is a command-line flag of the same name (`command_line.py` makes
them); its default, help text and range are stated once, in its group's module.
"""

import dataclasses

from noisymix_tf.config.adversary import AdversaryConfig
from noisymix_tf.config.data import (
    DataConfig,
    EvaluatedDataConfig,
    TestDataConfig,
)
from noisymix_tf.config.evaluation import EvaluationConfig
from noisymix_tf.config.fields import text
from noisymix_tf.config.method import MethodConfig
from noisymix_tf.config.model import ModelConfig
from noisymix_tf.config.optimizer import OptimizerConfig
from noisymix_tf.config.puzzlemix import PuzzleMixConfig
from noisymix_tf.config.run import RunConfig
from noisymix_tf.config.target import TargetConfig

__all__ = [
    "AdversaryConfig",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "EvaluatedDataConfig",
    "EvaluationConfig",
    "MethodConfig",
    "ModelConfig",
    "OptimizerConfig",
    "PuzzleMixConfig",
    "RunConfig",
    "TargetConfig",
    "TestDataConfig",
    "by_name",
    "groups",
    "text",
]


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that determines a run."""

    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    method: MethodConfig = dataclasses.field(default_factory=MethodConfig)
    puzzlemix: PuzzleMixConfig = dataclasses.field(
        default_factory=PuzzleMixConfig
    )
    adversary: AdversaryConfig = dataclasses.field(
        default_factory=AdversaryConfig
    )
    optimizer: OptimizerConfig = dataclasses.field(
        default_factory=OptimizerConfig
    )
    run: RunConfig = dataclasses.field(default_factory=RunConfig)
    evaluation: EvaluationConfig = dataclasses.field(
        default_factory=EvaluationConfig
    )

    def flags(self, *, with_free=True):
        """Effective flags by name, as they are written on a command line."""
        lines = {}
        for name, group in groups(type(self)).items():
            for field in dataclasses.fields(group):
                value = getattr(getattr(self, name), field.name)
                if with_free or not field.metadata["free"]:
                    lines[field.name] = _line(field.name, value)
        return lines


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """Everything that determines an evaluation."""

    target: TargetConfig = dataclasses.field(default_factory=TargetConfig)
    data: EvaluatedDataConfig = dataclasses.field(
        default_factory=EvaluatedDataConfig
    )
    evaluation: EvaluationConfig = dataclasses.field(
        default_factory=EvaluationConfig
    )


def groups(config):
    """`{name: class}` of the groups of flags of a configuration class."""
    return {field.name: field.type for field in dataclasses.fields(config)}


def by_name(config):
    """`{name: value}` of all flags of a configuration."""
    return {
        field.name: getattr(getattr(config, name), field.name)
        for name, group in groups(type(config)).items()
        for field in dataclasses.fields(group)
    }


def _line(name, value):
    if value is None:
        return None
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={text(value)}"
