"""Training end to end: input pipeline and train step together."""

from noisymix_tf.benchmarks import BENCHMARKS, steps


@BENCHMARKS.register(
    "training", title="input and step together", rounds=20, trains=True
)
def run(config, rounds):
    """Times steps fed by the real pipeline, and the wait for it: a dict."""
    title, trainer, views = steps.training(config)
    step, batches = steps.of_batches(trainer), iter(views)
    steps.fed(batches, 3, step)
    seconds, cpu, waited = steps.fed(batches, rounds, step)
    samples = rounds * config.batch_size
    figures = {
        "samples_per_second": samples / seconds,
        "steps_per_second": rounds / seconds,
        "wait_share": waited / seconds,
        "cpu_seconds_per_1000_samples": 1000 * cpu / samples,
    }
    of_samples, of_steps, share, cpu = figures.values()
    print(
        f"{title}: {rounds} steps, {of_samples:.0f} samples/s, {of_steps:.2f} "
        f"steps/s, {cpu:.2f} CPU-s per 1,000 samples; the step waits for input "
        f"{share:.1%} of the time"
    )
    return figures
