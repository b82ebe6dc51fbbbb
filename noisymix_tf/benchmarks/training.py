"""Training end to end: input pipeline and train step together."""

from noisymix_tf import data
from noisymix_tf.benchmarks import BENCHMARKS, steps
from noisymix_tf.benchmarks import input as input_benchmark
from noisymix_tf.training import setup


@BENCHMARKS.register(
    "training",
    title="input and step together",
    rounds=20,
    unit="steps",
    trains=True,
)
def run(config, rounds):
    """Times steps fed by the real pipeline, and the wait for it.

    Returns:
        Dict with `samples_per_second`, `steps_per_second`, `wait_share` of the
        time, and `cpu_seconds_per_1000_samples`.
    """
    dataset = setup.dataset(config)
    size = config.batch_size
    epoch = data.steps_per_epoch(dataset.train, size)
    classifier = setup.classifier(config, dataset)
    step = steps.of_batches(setup.trainer(config, classifier, epoch, dataset))
    batches = iter(setup.views(config, dataset))
    input_benchmark.fed(batches, 3, step)
    seconds, cpu, waited = input_benchmark.fed(batches, rounds, step)
    figures = {
        "samples_per_second": rounds * size / seconds,
        "steps_per_second": rounds / seconds,
        "wait_share": waited / seconds,
        "cpu_seconds_per_1000_samples": 1000 * cpu / (rounds * size),
    }
    print(
        f"{steps.title(config, dataset)}: {rounds} steps, "
        f"{rounds * size / seconds:.0f} samples/s, {rounds / seconds:.2f} "
        f"steps/s, {1000 * cpu / (rounds * size):.2f} CPU-s per 1,000 samples; "
        f"the step waits for input {waited / seconds:.1%} of the time"
    )
    return figures
