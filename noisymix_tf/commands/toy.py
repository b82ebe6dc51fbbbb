"""Draw decision boundaries on a two-class problem.

python -m noisymix_tf toy --flagfile=flags/toy.flags
"""

import dataclasses

from noisymix_tf import marked, run_folder
from noisymix_tf.commands import command
from noisymix_tf.marked import WriteToOptions
from noisymix_tf.options import (
    AT_LEAST_0,
    AT_LEAST_1,
    POSITIVE,
    Options,
    between,
    option,
)
from noisymix_tf.studies.points import ToyProblemConfig

# Those above have points of their own, for the search.
_FEW = between(1, 1000)


@dataclasses.dataclass(frozen=True)
class ToyTrainingConfig(Options):
    """The network, and numbers that replace those of the schemes.

    A number changes the schemes that are about it: a level of noise those that
    inject noise, and so on.
    """

    width: int = option(64, "Units of a hidden layer.", AT_LEAST_1)
    depth: int = option(4, "Hidden layers.", AT_LEAST_1)
    epochs: int = option(300, "How often a point is seen.", AT_LEAST_1)
    batch_size: int = option(100, "Points in a batch.", AT_LEAST_1)
    learning_rate: float | None = option(
        None, "Peak of the cosine schedule.", POSITIVE
    )
    alpha: float | None = option(
        None, "Mixing coefficient ~ Beta(alpha, alpha).", POSITIVE
    )
    additive_noise: float | None = option(
        None, "Level of additive noise.", AT_LEAST_0
    )
    multiplicative_noise: float | None = option(
        None, "Level of multiplicative noise.", AT_LEAST_0
    )
    jsd_weight: float | None = option(
        None, "Weight of the Jensen-Shannon term.", POSITIVE
    )
    view_noise: float | None = option(
        None,
        "Standard deviation of the noise of the second and the third view, "
        "which stands where images have AugMix.",
        AT_LEAST_0,
    )

    def overrides(self) -> dict[str, float]:
        """The numbers that are given for attributes of a scheme."""
        fields = dataclasses.fields(ToyTrainingConfig)
        names = [field.name for field in fields if field.default is None]
        given = {name: getattr(self, name) for name in names}
        return {n: value for n, value in given.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class ToyConfig(WriteToOptions, ToyProblemConfig, ToyTrainingConfig):
    """Where results go, and what is compared."""

    output_dir: str | None = option(
        None,
        "Directory of results, table and figure. A command that was killed is "
        "continued by the same command.",
        free=True,
    )
    schemes: tuple[str, ...] = option(
        (
            "baseline",
            "noise_injection",
            "manifold_mixup",
            "nfm",
            "manifold_mixup_jsd",
            "noisymix",
        ),
        "Schemes that are compared, in the order of the panels.",
    )
    seeds: int = option(
        10,
        "Trainings of each scheme, each on points and from weights of its "
        "own, which are the same ones for all schemes.",
        _FEW,
    )
    search: int = option(
        0,
        "Instead of comparing, try so many random settings of each scheme on "
        "validation points, and print the best.",
        AT_LEAST_0,
    )


@command("toy", ToyConfig)
def run(config: ToyConfig) -> None:
    """Trains and compares."""
    run_folder.check(config)
    marked.check(config.write_to)
    # Here, so that --help needs no TensorFlow.
    from noisymix_tf.studies import toy

    toy.run(config)
