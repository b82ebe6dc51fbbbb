"""Door: how fast things are on this machine.

python -m noisymix_tf.benchmark augmix
python -m noisymix_tf.benchmark segments
python -m noisymix_tf.benchmark train_step --method=noisymix
python -m noisymix_tf.benchmark methods --methods=baseline,cutmix,noisymix
python -m noisymix_tf.benchmark training --method=baseline
python -m noisymix_tf.benchmark corruptions --rounds=3
python -m noisymix_tf.benchmark evaluation --model=resnet20
python -m noisymix_tf.benchmark input
python -m noisymix_tf.benchmark memory --output_dir=DIR
python -m noisymix_tf.benchmark serving
"""

import sys

from absl import flags

from noisymix_tf import command_line, doors, flagfiles
from noisymix_tf.errors import UsageError

# How often each thing is timed where the user does not say.
_ROUNDS = {
    "augmix": 20,
    "segments": 20,
    "train_step": 20,
    # Batches of every method.
    "methods": 10,
    "training": 20,
    # Each thing is a whole batch of images already.
    "corruptions": 3,
    # A whole suite.
    "evaluation": 1,
    # Batches of 32 images.
    "input": 20,
    # Steps.
    "memory": 2000,
    # Batches of 32 images.
    "serving": 5,
}
_USAGE = "python -m noisymix_tf.benchmark NAME [--flag=value ...]"
# The setting of the published small-budget measurements of the reference.
_DEFAULTS = ("--width=0.25", "--batch_size=128")
_METHOD = "--method=noisymix"


def main(argv, flag_values=flags.FLAGS):
    """Runs the benchmark named first on the command line."""
    _define_flags(flag_values)
    name = argv[1] if len(argv) > 1 else ""
    if name in ("--help", "-h"):
        print(__doc__)
        print(command_line.helptext(flag_values, usage=_USAGE))
        return
    if name == "--version":
        command_line.parse(argv, flag_values)
    if name not in _ROUNDS:
        raise UsageError(
            f"Unknown benchmark {name!r}. Known: {', '.join(_ROUNDS)}."
        )
    config = command_line.parse(
        [argv[0], *_DEFAULTS, _METHOD, *argv[2:]], flag_values
    )
    rounds = flag_values.rounds or _ROUNDS[name]
    if name == "augmix":
        from noisymix_tf.benchmarks import augmix

        for image_size, batch_size in ((32, 128), (224, 16)):
            augmix.run(
                batch_size=batch_size, image_size=image_size, rounds=rounds
            )
    elif name == "segments":
        from noisymix_tf.benchmarks import segments

        segments.run(config, rounds)
    elif name == "train_step":
        from noisymix_tf.benchmarks import train_step

        train_step.run(config, rounds)
    elif name == "methods":
        from noisymix_tf.benchmarks import methods

        chosen = flag_values.methods or flagfiles.names("method")
        methods.run(
            {method: _config(argv, method, flag_values) for method in chosen},
            rounds,
        )
    elif name == "corruptions":
        from noisymix_tf.benchmarks import corruptions

        corruptions.run(rounds, config.evaluation.eval_seed)
    elif name == "evaluation":
        from noisymix_tf.benchmarks import evaluation

        evaluation.run(config, rounds)
    elif name == "input":
        from noisymix_tf.benchmarks import input

        _operate_as_training(config)
        input.run(config.data.data_dir, rounds=rounds, seed=config.run.seed)
    elif name == "memory":
        from noisymix_tf.benchmarks import memory

        memory.run(config, rounds)
    elif name == "serving":
        from noisymix_tf.benchmarks import serving

        serving.run(config, rounds)
    else:
        from noisymix_tf.benchmarks import training

        _operate_as_training(config)
        training.run(config, rounds)


def _operate_as_training(config):
    """Uses the operations of train.py, on which the pipeline depends."""
    import tensorflow as tf

    if config.run.deterministic:
        tf.config.experimental.enable_op_determinism()


def _define_flags(flag_values):
    command_line.define_flags(flag_values)
    flags.DEFINE_integer(
        "rounds",
        None,
        "Timed repetitions of each thing; by default 20, of methods 10, of "
        "corruptions 3, of serving 5, of evaluation 1; of memory, the steps: "
        "2000.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_list(
        "methods",
        None,
        "Of methods: which, the baseline among them; by default all.",
        flag_values=flag_values,
    )


def _config(argv, method, flag_values):
    """The configuration of one method; nothing of another is left in it."""
    words = [*_DEFAULTS, *argv[2:], f"--method={method}"]
    values = flags.FlagValues()
    _define_flags(values)
    return command_line.parse_expanded(
        [argv[0], *flagfiles.expand(words)], values
    )


if __name__ == "__main__":
    doors.run(main, sys.argv)
