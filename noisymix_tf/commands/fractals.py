"""Write pictures of fractals, for views that are mixed with pictures.

python -m noisymix_tf fractals --output_dir=fractals
python -m noisymix_tf.train --method=pixmix --mixing_dir=fractals/pictures
"""

import dataclasses

from noisymix_tf import places
from noisymix_tf.commands import command
from noisymix_tf.options import AT_LEAST_0, SEED, Options, between, option
from noisymix_tf.progress import say
from noisymix_tf.sets import fractals, writer


@dataclasses.dataclass(frozen=True)
class FractalsConfig(Options):
    """Which pictures are written, and where to."""

    output_dir: str | None = option(
        None,
        "Directory of the pictures, pictures/fractal_00000.png and so on. A "
        "command that was killed is continued by the same command.",
        first=True,
    )
    number: int = option(
        2000, "How many pictures.", between(1, 99_999), first=True
    )
    size: int = option(
        256,
        "Their side in pixels; training makes them as small as its images.",
        between(16, 2048),
    )
    seed: int = option(0, "Seed of everything random.", SEED)
    num_workers: int | None = option(
        None,
        "Processes that make pictures, by default one for each core; 0: none "
        "but this one.",
        AT_LEAST_0,
    )


@command("fractals", FractalsConfig)
def run(config: FractalsConfig) -> None:
    """Writes the pictures that a configuration asks for."""
    places.check_writable(config.output_dir, "pictures")
    decide = {"size": config.size, "seed": config.seed, "fractals": 1}
    path, what = config.output_dir, "pictures of fractals"
    with writer.claimed_folder(path, decide, what=what) as folder:
        own = config.number, config.size, config.seed
        writer.write(folder, [fractals.FractalPart(*own)], config.num_workers)
    say(f"Written: {folder.path / fractals.FOLDER}")
