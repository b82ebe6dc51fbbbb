"""Flags of the stylizer."""

import dataclasses

from noisymix_tf.config.fields import (
    AT_LEAST_0,
    AT_LEAST_1,
    POSITIVE,
    SHARE,
    Group,
    field,
)
from noisymix_tf.config.image_trees import ImageSourceConfig, TreeConfig


@dataclasses.dataclass(frozen=True)
class StyleConfig(Group):
    """Whose features are transferred, and how."""

    styles: str | None = field(
        None,
        "Folder of style pictures, such as paintings; also below it.",
        kind=str,
    )
    network: str = field(
        "vgg16",
        "Network of keras.applications whose features are matched: vgg16 or "
        "vgg19.",
        choices=("vgg16", "vgg19"),
    )
    vgg_weights: str | None = field(
        None,
        "File of its weights without the top, as keras.applications has them "
        "(vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5). Without it the "
        "features are random ones (He initialisation).",
        kind=str,
    )
    steps: int = field(
        60, "Steps of the optimisation of each image.", range=AT_LEAST_1
    )
    step_size: float = field(
        3.0,
        "Size of the first step in grey levels; it falls to 0.",
        range=POSITIVE,
    )
    style_weight: float = field(
        10.0, "Weight of the style's moments.", range=AT_LEAST_0
    )
    content_weight: float = field(
        1.0, "Weight of the content's features.", range=AT_LEAST_0
    )
    style_strength: float = field(
        1.0,
        "From the content's own moments (0) to those of the style (1).",
        range=SHARE,
    )


@dataclasses.dataclass(frozen=True)
class StylizeConfig:
    """Everything that determines a stylized tree."""

    source: ImageSourceConfig = dataclasses.field(
        default_factory=ImageSourceConfig
    )
    style: StyleConfig = dataclasses.field(default_factory=StyleConfig)
    tree: TreeConfig = dataclasses.field(default_factory=TreeConfig)
