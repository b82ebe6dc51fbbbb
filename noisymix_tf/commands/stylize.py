"""Write training images in the styles of pictures.

python -m noisymix_tf stylize --data_dir=PHOTOS --styles=PAINTINGS \\
    --output_dir=trees/stylized
"""

import dataclasses

from noisymix_tf.commands import command
from noisymix_tf.errors import UsageError
from noisymix_tf.options import (
    AT_LEAST_0,
    AT_LEAST_1,
    POSITIVE,
    SHARE,
    Options,
    option,
)
from noisymix_tf.progress import say
from noisymix_tf.sets import changed
from noisymix_tf.sets.changed import ImageSourceConfig, TreeConfig


@dataclasses.dataclass(frozen=True)
class StyleConfig(Options):
    """Whose features are transferred, and how."""

    styles: str | None = option(
        None,
        "Folder of style pictures, such as paintings; also below it.",
        tree=True,
    )
    network: str = option(
        "vgg16",
        "Network of keras.applications whose features are matched: vgg16 or "
        "vgg19.",
        choices=("vgg16", "vgg19"),
    )
    vgg_weights: str | None = option(
        None,
        "File of its weights without the top, as keras.applications has them "
        "(vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5). Without it the "
        "features are random ones (He initialisation).",
    )
    steps: int = option(
        60, "Steps of the optimisation of each image.", AT_LEAST_1
    )
    step_size: float = option(
        3.0, "Size of the first step in grey levels; it falls to 0.", POSITIVE
    )
    style_weight: float = option(
        10.0, "Weight of the style's moments.", AT_LEAST_0
    )
    content_weight: float = option(
        1.0, "Weight of the content's features.", AT_LEAST_0
    )
    style_strength: float = option(
        1.0,
        "From the content's own moments (0) to those of the style (1).",
        SHARE,
    )


@dataclasses.dataclass(frozen=True)
class StylizeConfig(ImageSourceConfig, StyleConfig, TreeConfig):
    """Everything that determines a stylized tree."""


@command("stylize", StylizeConfig)
def run(config: StylizeConfig) -> None:
    """Writes the tree that a configuration asks for."""
    changed.begin(config)
    if config.styles is None:
        raise UsageError(
            "--styles is missing: name a folder of style pictures."
        )
    from noisymix_tf.sets import stylized, writer

    source = changed.source(config, config.format)
    stylist = stylized.Stylist(config, source)
    with changed.tree_folder(config, source, **stylist.settings) as folder:
        file = config.vgg_weights
        words = f"the weights of {file}"
        if file is None:
            words = (
                "random weights (no --vgg_weights): its features tell colours "
                "and fine texture, not the brushwork that a trained network "
                "knows"
            )
        say(
            f"{len(source)} training images, {len(stylist.styles)} styles, "
            f"{config.network} with {words}"
        )
        part = changed.ChangedPart(source, stylist, config.batch_size)
        writer.write(folder, [part])
